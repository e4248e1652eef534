"""Compaction: older messages leave an agent's context and a summary takes their place.

They stay in the history, where they can be listed and searched. A compaction is a step like any
other: it is committed whole or not at all.
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actors import compiled, summary_prompts
from actors.models import ModelError, ModelRequest, count, estimate_prompt
from actors.prompt import to_chat
from storage.commits import Delta, State
from storage.errors import Busy, GreenroomError, InvalidArgument
from storage.ids import new_id
from storage.records import Agent, LlmConfig, Message, Run, Step, now

if TYPE_CHECKING:
    from actors.agent import Agent as LiveAgent

log = logging.getLogger(__name__)

THRESHOLD = 0.9
"""Share of the context window at which a step is followed by a compaction."""
EVICTED_MORE = 0.1
"""How much more of the messages goes when what stays is still too long."""
SUMMARIZER_MODELS = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "google_ai": "gemini-2.5-flash",
}
"""By provider, the model that summarises unless the agent says otherwise; else its own."""

Mode = Literal["sliding_window", "all", "self_compact_all", "self_compact_sliding_window"]
Trigger = Literal["post_step_context_check", "context_window_exceeded", "requested"]


class SystemPromptTooLong(GreenroomError):
    """The system prompt alone is longer than the model's context window."""

    code = "context_window_overflow_in_system_prompt"


class Settings(BaseModel):
    """How an agent is compacted; the API's ``compaction_settings``."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model: str | None = None
    """Handle of the model that summarises."""
    model_settings: dict[str, Any] | None = None
    prompt: str | None = None
    """What it is told instead of our own words."""
    prompt_acknowledgement: bool = False
    """Whether the prompt says that the model has agreed to it, which keeps some models to it."""
    clip_chars: int | None = Field(50_000, ge=1)
    """Characters of the summary, at most."""
    mode: Mode = "sliding_window"
    """Whether the newest messages stay, and whether the agent's own context is summarised by the
    agent itself (``self``) or a transcript of it by another."""
    sliding_window_percentage: float = Field(0.3, ge=0, le=1)
    """Share of the context that goes, at least."""

    @classmethod
    def of(cls, agent: Agent, overrides: dict[str, Any] | None = None) -> "Settings":
        given = {**(agent.compaction_settings or {}), **(overrides or {})}
        # Nothing else than this one can be told to be nothing.
        return cls.model_validate(
            {name: value for name, value in given.items() if value is not None or name == "clip_chars"}
        )

    @property
    def slides(self) -> bool:
        return self.mode.endswith("sliding_window")

    @property
    def by_itself(self) -> bool:
        return self.mode.startswith("self_compact")


@dataclass(slots=True)
class Compacted:
    """What a compaction did."""

    summary: Message
    before: int
    after: int
    """Messages in context."""

    @classmethod
    def of(cls, summary: Message) -> "Compacted":
        """What the compaction did that this summary comes from."""
        counts = summary.compaction or {}
        return cls(summary, counts["messages_count_before"], counts["messages_count_after"])


def is_due(tokens: int, llm: LlmConfig) -> bool:
    """Whether a context of this size is to be compacted after the step that saw it."""
    return tokens > int(THRESHOLD * llm.context_window)


def context_tokens(state: State, system: str, tools: list[dict[str, Any]]) -> int:
    """Size of the whole prompt, estimated."""
    fixed = estimate_prompt([{"role": "system", "content": system}], tools)
    return fixed + sum(message.tokens for message in state.context[1:])


@dataclass(slots=True)
class Compaction:
    """A compaction of one agent.

    Args:
        agent: whose context it is.
        llm: the agent's model, whose context window counts.
        tools: the function schemas that the agent's prompt has.
        settings: how it is done.
        by: the model that summarises, rather than the one that the settings imply.
    """

    agent: "LiveAgent"
    llm: LlmConfig
    tools: list[dict[str, Any]]
    settings: Settings
    by: LlmConfig | None = None

    async def make(self, run: Run, trigger: Trigger) -> Compacted | None:
        """Summarise older messages and commit the shorter context, as a step of this run; the run
        too, if it has ended.

        Returns:
            ``None`` when there is nothing that could go.

        Raises:
            SystemPromptTooLong: no compaction can make the prompt fit.
            InvalidArgument: it was requested, and would save nothing.
        """
        evicted = _evicted(self.agent.state.context[1:], self.settings, self._room())
        if not evicted:
            return None
        requests = self._requests(evicted)
        step = _step(self.agent, run, requests[0].llm)
        text = await self._summarise(requests, step)
        summary = Message(
            id=new_id("message", self.agent.id),
            role="summary",
            created_at=now(),
            content=text,
            run_id=run.id,
            step_id=step.id,
            tokens=count(text, self.llm.model),
        )
        await self.agent.count_archival()
        async with self.agent.lock:
            delta = self._delta(summary, {each.id for each in evicted}, trigger)
            delta.step, delta.run = step, run if run.ended else None
            done = Compacted.of(summary)
            if trigger == "requested" and done.after >= done.before:
                raise InvalidArgument(
                    "Summarization failed to reduce the number of messages: "
                    f"{done.before} before, {done.after} after."
                )
            await self.agent.commit(delta)
            return done

    def _room(self) -> int:
        """Tokens that messages may take after the compaction."""
        agent, window = self.agent, self.llm.context_window
        fixed = context_tokens(State(agent=agent.state.agent), agent.system(), self.tools)
        if fixed > window:
            raise SystemPromptTooLong(
                f"The system prompt and tools of agent {agent.id} take about {fixed} tokens, its context "
                f"window is {window}. Shorten its prompt or blocks, detach tools, or raise "
                "context_window_limit."
            )
        return int((1 - self.settings.sliding_window_percentage) * window) - fixed

    def _requests(self, messages: list[Message]) -> list[ModelRequest]:
        """Ways to get a summary, best first: from the agent itself if it is to do it, from the
        summarising model, from the agent's own model."""
        agent = self.agent.state.agent
        summarizer = self.by or _summarizer(agent, self.settings, self.llm)
        requests = [_transcript_request(agent, messages, self.settings, summarizer)]
        if self.settings.by_itself:
            requests.insert(0, self._own_request(messages))
        if summarizer.handle != self.llm.handle:
            requests.append(_transcript_request(agent, messages, self.settings, self.llm))
        return requests

    def _own_request(self, messages: list[Message]) -> ModelRequest:
        # The prompt begins like that of the step before, so the provider has most of it in its cache.
        instruction = self.settings.prompt or summary_prompts.of_mode(self.settings.mode)
        asked = Message(
            id=new_id("message", self.agent.id), role="user", created_at=now(), content=instruction
        )
        chat = to_chat([*messages, asked], self.agent.state.agent, system=self.agent.system())
        llm = _with(self.llm, self.settings)
        return ModelRequest(llm=llm, messages=chat, tools=self.tools, user=self.agent.id)

    async def _summarise(self, requests: list[ModelRequest], step: Step) -> str:
        """The first summary that one of the requests gets; a note in its place when none does, because
        an agent must not fall silent over this."""
        for request in requests:
            try:
                completion = await self.agent.models.complete(request)
            except (ModelError, Busy) as error:
                log.warning("%s did not summarise for agent %s: %s", request.llm.handle, self.agent.id, error)
                step.error_type, step.error = error.code, error.message
                continue
            if text := (completion.text or "").strip():
                step.model, step.model_handle = request.llm.model, request.llm.handle
                step.usage = completion.usage
                return clip(text, self.settings.clip_chars)
        return summary_prompts.NO_SUMMARY

    def _delta(self, summary: Message, evicted: set[str], trigger: Trigger) -> Delta:
        # The context may have changed while the summary was written; what was added since stays.
        agent, state = self.agent, self.agent.state
        kept = [message for message in state.context[1:] if message.id not in evicted]
        context = [state.context[0], summary, *kept]
        delta = Delta(
            messages=[summary],
            context=[message.id for message in context],
            system=compiled.compile_text(
                state.agent, agent.blocks, state.history + 1, context, agent.archival
            ),
            compiled=compiled.versions(agent.blocks),
        )
        shorter = State(agent=state.agent, context=context)
        summary.compaction = {
            "trigger": trigger,
            "context_tokens_before": context_tokens(state, agent.system(), self.tools),
            "context_tokens_after": context_tokens(shorter, delta.system or "", self.tools),
            "context_window": self.llm.context_window,
            "messages_count_before": len(state.context),
            "messages_count_after": len(context),
        }
        return delta


def _evicted(messages: list[Message], settings: Settings, room: int) -> list[Message]:
    """The messages that go: all of them, or so many of the oldest that the others fit ``room``
    tokens. The first to stay is never a tool's return."""
    if not settings.slides:
        return messages
    share = settings.sliding_window_percentage
    while share < 1:
        cut = int(share * len(messages))
        while cut < len(messages) and messages[cut].role not in ("user", "assistant", "system"):
            cut += 1
        if cut and sum(message.tokens for message in messages[cut:]) <= room:
            return messages[:cut]
        share += EVICTED_MORE
    return messages


def clip(text: str, limit: int | None) -> str:
    """The text, or its beginning up to ``limit`` characters."""
    return text if limit is None or len(text) <= limit else text[:limit].rstrip() + " …"


def _transcript_request(
    agent: Agent, messages: list[Message], settings: Settings, llm: LlmConfig
) -> ModelRequest:
    instruction = settings.prompt or summary_prompts.of_mode(settings.mode)
    room = int(llm.context_window * THRESHOLD) - count(instruction, llm.model)
    transcript = summary_prompts.transcript(messages, agent.timezone, max_chars=max(room, 500) * 3)
    chat = [{"role": "system", "content": instruction}]
    if settings.prompt_acknowledgement:
        chat += [
            {"role": "user", "content": summary_prompts.ASK_AGREEMENT},
            {"role": "assistant", "content": summary_prompts.AGREEMENT},
        ]
    chat.append({"role": "user", "content": transcript})
    return ModelRequest(llm=_with(llm, settings), messages=chat, tools=[], user=agent.id)


def _with(llm: LlmConfig, settings: Settings) -> LlmConfig:
    given = settings.model_settings or {}
    changes = {
        "parallel_tool_calls": False,
        "response_format": None,
        "max_tokens": given.get("max_output_tokens"),
    }
    if given.get("temperature") is not None:
        changes["temperature"] = given["temperature"]
    return llm.model_copy(update=changes)


def _summarizer(agent: Agent, settings: Settings, llm: LlmConfig) -> LlmConfig:
    """The model that summarises: the one the agent names, else a small one of its own provider."""
    provider, _, model = (settings.model or "").partition("/")
    if agent.compaction_llm and agent.compaction_llm.handle == settings.model:
        return agent.compaction_llm
    if provider != llm.provider_name:
        model = SUMMARIZER_MODELS.get(llm.provider_name, llm.model)
    return llm.model_copy(update={"model": model, "handle": f"{llm.provider_name}/{model}"})


def _step(agent: "LiveAgent", run: Run, llm: LlmConfig) -> Step:
    return Step(
        id=new_id("step", agent.id),
        run_id=run.id,
        agent_id=agent.id,
        created_at=now(),
        model=llm.model,
        model_handle=llm.handle,
        model_endpoint=llm.model_endpoint,
        provider_name=llm.provider_name,
        context_window=llm.context_window,
        origin="compaction",
    )
