"""Messages for an agent, as requests."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from server.wire.common import MAX_ITEMS, Body, Key, Keys, Object, PageParams, Short, Text
from server.wire.messages import Display, MessageType
from storage.records import AgentType

MessageTypes = list[MessageType]
STREAMING_OPTIONS = {"stream_tokens": True, "include_pings": False, "background": True}
"""Options that mean nothing without streaming, each with the value that is then refused."""


class TextPart(Body):
    type: Literal["text"] = "text"
    text: Text


class UrlImage(Body):
    type: Literal["url"]
    url: Annotated[str, StringConstraints(pattern="^(https?://|data:image/)")]


class Base64Image(Body):
    type: Literal["base64"]
    media_type: Annotated[str, StringConstraints(pattern="^image/[a-z.+-]+$", max_length=100)]
    data: Annotated[str, StringConstraints(min_length=1, pattern="^[A-Za-z0-9+/=_-]+$")]
    detail: Short | None = None


class ImagePart(Body):
    type: Literal["image"]
    source: UrlImage | Base64Image = Field(discriminator="type")


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Content = Text | Annotated[list[Part], Field(min_length=1, max_length=MAX_ITEMS)]


class MessageCreate(Body):
    """A message in anyone's name."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "assistant"]
    content: Content
    name: Short | None = None
    otid: Key | None = None
    sender_id: Short | None = None
    group_id: Short | None = None

    def content_value(self) -> str | list[dict[str, Any]]:
        """Text, or parts as JSON values."""
        if isinstance(self.content, str):
            return self.content
        return [part.model_dump(exclude_none=True) for part in self.content]


class ApprovalCreate(Body):
    """The answer to a request for approval, or the result of a tool that the client ran."""

    type: Literal["approval", "tool_return"] = "approval"
    approvals: list[Object] = Field([], max_length=MAX_ITEMS)
    tool_returns: list[Object] = Field([], max_length=MAX_ITEMS)
    approve: bool | None = None
    approval_request_id: Short | None = None
    reason: Text | None = None
    group_id: Short | None = None
    otid: Key | None = None


def _kind_of_message(value: Any) -> str:
    if isinstance(value, dict):
        if value.get("type") in ("approval", "tool_return"):
            return "approval"
        if "type" not in value and ("approve" in value or "approval_request_id" in value):
            return "approval"
    return "approval" if isinstance(value, ApprovalCreate) else "message"


MessageInput = Annotated[
    Annotated[MessageCreate, Tag("message")] | Annotated[ApprovalCreate, Tag("approval")],
    Discriminator(_kind_of_message),
]


class DisplayOptions(Body):
    """Options that only the representation of messages depends on."""

    use_assistant_message: bool = True
    assistant_message_tool_name: Key = "send_message"
    assistant_message_tool_kwarg: Key = "message"
    include_return_message_types: MessageTypes | None = None


class SendMessages(DisplayOptions):
    messages: list[MessageInput] | None = Field(None, max_length=MAX_ITEMS)
    input: Content | None = Field(None, description="Instead of `messages`: the content of one user message.")
    max_steps: int = Field(50, ge=1, le=1000)
    override_model: Key | None = None
    override_system: Text | None = None
    client_tools: list[Object] = Field([], max_length=MAX_ITEMS)
    client_skills: list[Object] = Field([], max_length=MAX_ITEMS)
    include_compaction_messages: bool = False
    return_logprobs: bool = False
    return_token_ids: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    streaming: bool = False
    stream_tokens: bool = False
    include_pings: bool = True
    background: bool = False

    @model_validator(mode="before")
    @classmethod
    def _read_aliases(cls, data: Any) -> Any:
        if isinstance(data, dict) and "system" in data and "override_system" not in data:
            return {**data, "override_system": data["system"]}
        return data

    @model_validator(mode="after")
    def _check_messages(self) -> Self:
        if (self.messages is None) == (self.input is None):
            raise ValueError("Give either `messages` or `input`")
        if self.messages is not None and not self.messages:
            raise ValueError("Messages must not be empty")
        return self

    def inputs(self) -> list[MessageCreate | ApprovalCreate]:
        """The messages, in whichever form they came."""
        if self.messages is not None:
            return self.messages
        assert self.input is not None
        return [MessageCreate(role="user", content=self.input)]

    def display_options(self) -> Object:
        """The options to be kept with the run, so that its messages look the same later."""
        return self.model_dump(include=set(DisplayOptions.model_fields), exclude_defaults=True)


class SendOrStream(SendMessages):
    """The body of a request whose own ``streaming`` field says how it is answered."""

    @model_validator(mode="after")
    def _check_streaming(self) -> Self:
        if not self.streaming:
            used = [name for name, value in STREAMING_OPTIONS.items() if getattr(self, name) is value]
            if used:
                names = ", ".join(used)
                raise ValueError(f"Streaming options set without streaming enabled. Not allowed: {names}")
        return self


class CancelRuns(Body):
    run_ids: Keys | None = None


class ResetMessages(Body):
    add_default_initial_messages: bool = False


class ListMessages(PageParams):
    cursors = "message"
    limit: int = Field(100, ge=1, le=1000)
    conversation_id: Short | None = None
    group_id: Short | None = None
    include_err: bool | None = None
    include_return_message_types: MessageTypes | None = None
    use_assistant_message: bool = True
    assistant_message_tool_name: Key = "send_message"
    assistant_message_tool_kwarg: Key = "message"


def speaks_in_text(agent_type: AgentType) -> bool:
    """Whether the plain text of such an agent is for the user. Others speak with a tool call."""
    return agent_type == "letta_v1_agent"


def display_of(options: DisplayOptions | ListMessages, agent_type: AgentType) -> Display:
    types = options.include_return_message_types
    return Display(
        text_is_assistant=speaks_in_text(agent_type),
        use_assistant_message=options.use_assistant_message,
        tool_name=options.assistant_message_tool_name,
        tool_kwarg=options.assistant_message_tool_kwarg,
        types=frozenset(types) if types is not None else None,
    )
