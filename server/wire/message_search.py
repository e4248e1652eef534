"""Searching messages, on the wire."""

from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from typing_extensions import TypedDict

from actors.tools.conversation import relevance
from server.wire.common import MAX_ITEMS, AgentId, Body, Short
from server.wire.messages import Display, expand
from storage.queries import Hit, MessageSearch, SearchMode
from storage.search import said

Role = Literal["user", "assistant", "system", "tool", "function", "approval", "summary"]


def _end_of_day(value: Any) -> Any:
    """A date stands for all of its day."""
    if isinstance(value, str) and len(value) == len("YYYY-MM-DD"):
        try:
            return datetime.combine(date.fromisoformat(value), time.max)
        except ValueError:
            return value  # What is wrong with it is told by the field's type.
    return value


def _utc(moment: datetime) -> datetime:
    """Times without an offset are UTC."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the date is out of range") from None


Moment = Annotated[datetime, AfterValidator(_utc)]
EndMoment = Annotated[Moment, BeforeValidator(_end_of_day)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]


class SearchFilter(Body):
    search_mode: SearchMode = Field(
        "hybrid",
        description="By meaning, by words, or both. Where no embedding model applies, by words in any case.",
    )
    agent_id: AgentId | None = None
    conversation_id: Short | None = None
    limit: int = Field(50, ge=1, le=100)
    start_date: Moment | None = None
    end_date: EndMoment | None = None

    def search(self, query: str, **more: Any) -> MessageSearch:
        return MessageSearch(
            query=query,
            agent_id=self.agent_id,
            start=self.start_date,
            end=self.end_date,
            limit=self.limit,
            **more,
        )


class SearchMessages(SearchFilter):
    query: Words


class SearchAgentMessages(SearchFilter):
    query: Words | None = None
    roles: list[Role] | None = Field(None, max_length=MAX_ITEMS)


class _Found(TypedDict):
    message_id: str
    agent_id: str
    conversation_id: str | None
    created_at: str


class FoundText(_Found):
    message_type: Literal["system_message", "user_message", "assistant_message"]
    content: str | list[dict[str, Any]]


class FoundReasoning(_Found):
    message_type: Literal["reasoning_message"]
    reasoning: str


FoundMessage = FoundText | FoundReasoning


def found_message(hit: Hit) -> FoundMessage:
    """A match of ``messages.search``."""
    message = hit.message
    found: _Found = {
        "message_id": message.id,
        "agent_id": hit.agent_id,
        "conversation_id": None,
        "created_at": message.created_at.isoformat(),
    }
    if hit.role == "reasoning":
        return {**found, "message_type": "reasoning_message", "reasoning": message.reasoning or ""}
    if hit.role == "user":
        [shown] = expand(message, Display())
        assert shown["message_type"] == "user_message"
        return {**found, "message_type": "user_message", "content": shown["content"]}
    if hit.role == "assistant":
        return {**found, "message_type": "assistant_message", "content": said(message)}
    # Clients know no summaries here; like one, a system message is written by neither side.
    return {**found, "message_type": "system_message", "content": said(message)}


class StoredMessage(TypedDict):
    """A message as it is stored, not as conversations show it."""

    id: str
    agent_id: str
    role: str
    content: list[dict[str, Any]]
    name: str | None
    otid: str | None
    sender_id: str | None
    step_id: str | None
    run_id: str | None
    created_at: str


class RankedMessage(TypedDict):
    embedded_text: str
    message: StoredMessage
    fts_rank: int | None
    vector_rank: int | None
    rrf_score: float


def ranked_message(hit: Hit) -> RankedMessage:
    """A match of the older search."""
    message = hit.message
    text = message.reasoning or "" if hit.role == "reasoning" else said(message)
    content = (
        message.content if isinstance(message.content, list) else [{"type": "text", "text": said(message)}]
    )
    found = relevance(hit)
    return {
        "embedded_text": text,
        "message": {
            "id": message.id,
            "agent_id": hit.agent_id,
            "role": message.role,
            "content": content,
            "name": message.name,
            "otid": message.otid,
            "sender_id": message.sender_id,
            "step_id": message.step_id,
            "run_id": message.run_id,
            "created_at": message.created_at.isoformat(),
        },
        "fts_rank": found["fts_rank"],
        "vector_rank": found["vector_rank"],
        "rrf_score": found["rrf_score"],
    }
