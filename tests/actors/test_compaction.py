"""Compactions of one agent: what goes, what stays, who summarises, and what happens when nobody can."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import compaction, summary_prompts
from actors.compaction import Compaction, Settings, SystemPromptTooLong, is_due
from actors.models import Completion, ModelError
from actors.prompt import to_chat
from storage.commits import Delta, State, apply
from storage.errors import Busy
from storage.ids import new_id
from storage.queries import Contents
from storage.records import Agent, LlmConfig, Message, Run, ToolCall, ToolReturn, now
from tests.strict_history import violations

WINDOW = 10_000
LLM = LlmConfig(
    model="big",
    model_endpoint_type="openai",
    context_window=WINDOW,
    handle="openai/big",
    provider_name="openai",
)
AGENT = new_id("agent")
MODES = ("sliding_window", "all", "self_compact_all", "self_compact_sliding_window")


class Models:
    """Models by handle: each answers with its text, or raises its error."""

    def __init__(self, **answers) -> None:
        self.answers = answers
        self.requests = []

    async def complete(self, request):
        self.requests.append(request)
        answer = self.answers.get(request.llm.model, "They talked.")
        if isinstance(answer, Exception):
            raise answer
        return Completion(text=answer)


class Living:
    """As much of an agent in memory as a compaction needs."""

    def __init__(self, turns, *, models=None, **fields) -> None:
        made = {"id": AGENT, "name": "ann", "system": "You are Ann.", "llm_config": LLM}
        agent = Agent(**(made | {"created_at": now(), "updated_at": now()} | fields))
        context = [message("system", content="You are Ann.")]
        for turn in turns:
            context += turn
        self.id = AGENT
        self.state = State(agent=agent, context=context, history=len(context))
        self.blocks = []
        self.archival = Contents()
        self.models = models or Models()
        self.lock = asyncio.Lock()
        self.committed: list[Delta] = []

    def system(self) -> str:
        return self.state.context[0].text()

    async def count_archival(self) -> None:
        pass

    async def commit(self, delta: Delta) -> None:
        assert self.lock.locked()
        self.committed.append(delta)
        apply(self.state, delta)

    async def compact(self, trigger="post_step_context_check", **settings):
        wanted = Settings.of(self.state.agent, settings)
        run = Run(id=new_id("run", AGENT), agent_id=AGENT, status="running", created_at=now())
        return await Compaction(self, self.state.agent.llm_config, [], wanted).make(run, trigger)


def message(role, tokens=100, **fields) -> Message:
    return Message(id=new_id("message", AGENT), role=role, created_at=now(), tokens=tokens, **fields)


def turn(tools=0, tokens=100, parallel=1) -> list[Message]:
    """A user's message and what follows: so many steps with tool calls, then the answer."""
    messages = [message("user", tokens, content="a question")]
    for step in range(tools):
        calls = [ToolCall(id=f"call-{step}-{n}", name="look", arguments="{}") for n in range(parallel)]
        returns = [
            ToolReturn(tool_call_id=call.id, name="look", status="success", content="seen") for call in calls
        ]
        messages.append(message("assistant", tokens, tool_calls=calls))
        messages.append(message("tool", tokens, tool_returns=returns))
    return [*messages, message("assistant", tokens, content="an answer")]


turns = st.lists(
    st.builds(turn, st.integers(0, 4), st.integers(0, 2_000), st.integers(1, 3)), min_size=1, max_size=12
)


@given(
    turns=turns,
    unfinished=st.integers(0, 5),
    mode=st.sampled_from(MODES),
    share=st.floats(0, 1),
)
def test_whatever_goes_the_history_stays_valid(turns, unfinished, mode, share):
    if unfinished:
        turns = [*turns, turn(unfinished)[:-1]]
    living = Living(turns)
    before = list(living.state.context)

    done = asyncio.run(living.compact(mode=mode, sliding_window_percentage=share))

    if done is None:
        assert living.state.context == before
        return
    system, summary, *kept = living.state.context
    assert (system.id, summary.role) == (before[0].id, "summary")
    assert kept == before[len(before) - len(kept) :]
    assert not kept or kept[0].role in ("user", "assistant")
    chat = to_chat([*kept, message("user", content="go on")], living.state.agent, system="s")
    assert violations(chat) == []
    assert not any("interrupted" in str(each["content"]) for each in chat)
    if "all" in mode:
        assert kept == []
    assert sum(each.tokens for each in kept) <= (1 - share) * WINDOW
    assert (done.before, done.after) == (len(before), len(living.state.context))


@pytest.mark.parametrize(("share", "kept"), [(0.3, 14), (0.5, 10), (0.9, 2)])
async def test_the_share_says_how_much_goes(share, kept):
    living = Living([turn() for _ in range(10)])
    done = await living.compact(sliding_window_percentage=share)
    assert done.after == 2 + kept


async def test_more_goes_when_what_stays_would_fill_the_window():
    living = Living([turn(tokens=10), turn(tokens=10), *(turn(tokens=1_500) for _ in range(3))])
    done = await living.compact(sliding_window_percentage=0.3)
    assert done.after == 2 + 4


async def test_a_compaction_is_one_commit_that_says_what_it_saved():
    living = Living([turn(tools=2) for _ in range(5)])
    before = compaction.context_tokens(living.state, living.system(), [])

    done = await living.compact("post_step_context_check")

    [delta] = living.committed
    assert delta.messages == [done.summary]
    assert delta.step.origin == "compaction"
    assert delta.step.id == done.summary.step_id
    assert "previous messages" in living.system()
    stats = done.summary.compaction
    assert (stats["trigger"], stats["context_window"]) == ("post_step_context_check", WINDOW)
    assert stats["context_tokens_before"] == before
    after = compaction.context_tokens(living.state, living.system(), [])
    assert stats["context_tokens_after"] == after < before
    assert (stats["messages_count_before"], stats["messages_count_after"]) == (done.before, done.after)


async def test_what_is_said_meanwhile_stays():
    living = Living([turn() for _ in range(4)])
    late = message("user", content="are you there?")

    class Slow(Models):
        async def complete(self, request):
            apply(living.state, Delta(messages=[late]))
            return await super().complete(request)

    living.models = Slow()
    await living.compact(mode="all")

    assert [each.role for each in living.state.context] == ["system", "summary", "user"]
    assert living.state.context[-1].id == late.id


async def test_an_empty_context_is_left_alone():
    living = Living([])
    assert await living.compact() is None
    assert (living.committed, living.models.requests) == ([], [])


@pytest.mark.parametrize("mode", MODES)
async def test_each_mode_asks_in_its_own_way(mode):
    living = Living([turn(tools=1) for _ in range(6)])
    await living.compact(mode=mode)

    [request] = living.models.requests
    own = mode.startswith("self")
    assert request.llm.handle == ("openai/big" if own else "openai/gpt-5-mini")
    told = summary_prompts.of_mode(mode)
    if own:
        assert request.messages[0]["content"] == "You are Ann."
        assert told in request.messages[-1]["content"]
        assert violations(request.messages) == []
    else:
        system, transcript = request.messages
        assert system["content"] == told
        assert "user: a question" in transcript["content"]
        assert "look returns (success): seen" in transcript["content"]


async def test_settings_say_how_it_is_asked():
    living = Living(
        [turn() for _ in range(6)],
        compaction_settings={
            "prompt": "Be brief.",
            "prompt_acknowledgement": True,
            "model_settings": {"temperature": 0.2, "max_output_tokens": 77},
        },
    )
    await living.compact()

    [request] = living.models.requests
    assert [each["role"] for each in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[0]["content"] == "Be brief."
    assert (request.llm.temperature, request.llm.max_tokens) == (0.2, 77)


async def test_a_long_context_is_shown_within_the_summarising_models_window():
    small = LLM.model_copy(update={"context_window": 2_000, "model": "small", "handle": "groq/small"})
    living = Living(
        [[message("user", content="x" * 3_000)] for _ in range(20)],
        compaction_settings={"model": "groq/small"},
        compaction_llm=small,
    )
    await living.compact(mode="all")
    [request] = living.models.requests
    assert request.llm.handle == "groq/small"
    assert len(request.messages[1]["content"]) < 3 * 2_000


@pytest.mark.parametrize(
    ("limit", "text", "summary"),
    [(10, "y" * 20, "y" * 10 + " …"), (20, "y" * 20, "y" * 20), (None, "y" * 90_000, "y" * 90_000)],
)
async def test_a_summary_is_cut_where_the_settings_say(limit, text, summary):
    living = Living([turn() for _ in range(3)], models=Models(**{"gpt-5-mini": text}))
    done = await living.compact(mode="all", clip_chars=limit)
    assert done.summary.content == summary


@pytest.mark.parametrize("error", [ModelError("It is down."), Busy("Too many calls wait.")])
async def test_the_agents_own_model_stands_in_for_one_that_fails(error):
    models = Models(**{"gpt-5-mini": error, "big": "Told by the agent's own model."})
    living = Living([turn() for _ in range(4)], models=models)
    done = await living.compact()
    assert done.summary.content == "Told by the agent's own model."
    assert living.committed[0].step.model_handle == "openai/big"


@pytest.mark.parametrize("nothing", [ModelError("It is down."), "", "  \n"])
async def test_an_agent_goes_on_when_nobody_can_summarise(nothing):
    models = Models(**{"gpt-5-mini": nothing, "big": nothing})
    living = Living([turn() for _ in range(4)], models=models)
    done = await living.compact(mode="self_compact_all")
    assert len(models.requests) == 3
    assert done.summary.content == summary_prompts.NO_SUMMARY
    assert len(living.state.context) == 2
    assert living.committed[0].step.error == (str(nothing) if isinstance(nothing, ModelError) else None)


async def test_a_system_prompt_that_fills_the_window_is_said_clearly():
    living = Living([turn() for _ in range(3)])
    living.state.context[0] = message("system", content="word " * WINDOW)
    with pytest.raises(SystemPromptTooLong, match="context_window_limit") as caught:
        await living.compact()
    assert caught.value.code == "context_window_overflow_in_system_prompt"
    assert living.committed == []


def test_it_is_due_from_nine_tenths_of_the_window_on():
    assert not is_due(9_000, LLM)
    assert is_due(9_001, LLM)


def test_settings_are_the_agents_with_those_of_the_request():
    agent = SimpleNamespace(compaction_settings={"mode": "all", "clip_chars": 7, "prompt": "p"})
    settings = Settings.of(agent, {"clip_chars": 9, "prompt": None, "mode": "sliding_window"})
    assert (settings.mode, settings.clip_chars, settings.prompt) == ("sliding_window", 9, None)
    assert Settings.of(agent, {"clip_chars": None}).clip_chars is None
    bare = Settings.of(SimpleNamespace(compaction_settings=None))
    assert (bare.mode, bare.clip_chars, bare.sliding_window_percentage) == ("sliding_window", 50_000, 0.3)


def test_a_transcript_tells_who_said_and_did_what():
    summary = message("summary", content="They met.")
    text = summary_prompts.transcript([summary, *turn(tools=1)], "UTC", max_chars=10_000)
    lines = [line.partition("] ")[2] or line for line in text.splitlines()]
    assert lines == [
        "summary of still older messages:",
        "They met.",
        "user: a question",
        "assistant calls look: {}",
        "look returns (success): seen",
        "assistant: an answer",
    ]
    cut = summary_prompts.transcript([message("user", content="z" * 5_000)], "UTC", max_chars=200)
    assert len(cut) < 300
    assert "left out" in cut
