"""One endless thread: an agent lives far longer than its context window is, and loses nothing of it."""

import pytest

from actors.fleet import Fleet
from actors.options import Options
from actors.protocol import AgentEdit
from storage.queries import MessageQuery, StepQuery
from tests.actors.runtime import answer, endpoint, history, new_agent, say, started

MESSAGES = 5_000
WINDOW = 16_000
AT_ONCE = 8
"""Messages a user sends before the agent answers."""
FACTS = {
    3: "My boat is called Penelope.",
    40: "My locker is number 71933.",
    300: "My aunt is a lighthouse keeper on Sark.",
}
"""What the user mentions, and before which turn."""


def chatter(turn: int, part: int) -> str:
    return (
        f"Day {turn}, part {part}: it was mild, bread sold out before noon, two trains were late, and the "
        "neighbours talked about the new bridge for an hour while their dogs slept in the shade of the wall. "
        "Nobody could tell who had left the gate open, so it stayed open until the evening."
    )


@pytest.fixture
async def model():
    async with endpoint() as model:
        yield model


@pytest.fixture
async def fleet(model, tmp_path):
    options = Options(data=tmp_path, shards=1, hosts=1, model_retries=0)
    async with started(Fleet(options, [model.provider])) as fleet:
        yield fleet


async def test_an_agent_outlives_its_window_many_times_and_forgets_nothing(fleet, model):
    agent = await new_agent(fleet, await model.llm(context_window=WINDOW))
    turn = 0
    while (await fleet.agent(agent)).state.history < MESSAGES:
        for _ in range(50):
            turn += 1
            first = [FACTS[turn]] if turn in FACTS else []
            ended = await say(fleet, agent, *first, *(chatter(turn, part) for part in range(AT_ONCE)))
            assert ended.run.stop_reason == "end_turn"
        # The endpoint has looked at every prompt, those right after a compaction among them.
        assert model.problems == []
        model.prompts.clear()

    steps = await all_steps(fleet, agent)
    assert len([step for step in steps if step.origin is None]) == turn
    assert max(step.usage.prompt_tokens for step in steps) <= WINDOW
    messages = await history(fleet, agent)
    summaries = [message for message in messages if message.role == "summary"]
    assert len(summaries) == len([step for step in steps if step.origin == "compaction"]) > 30
    for summary in summaries:
        stats = summary.compaction
        assert stats["context_tokens_after"] < stats["context_tokens_before"] <= WINDOW

    state = (await fleet.agent(agent)).state
    assert len(state.context) < 300
    for fact in FACTS.values():
        assert fact in state.context[1].text(), "the summary keeps what mattered"
        ended = await say(fleet, agent, f'search our talks for "{fact.split()[-1].strip(".")}"')
        assert fact in answer(ended), "and the history is searchable to its beginning"
    [found, *_] = await fleet.store.messages(
        MessageQuery(agent_id=agent, words=["penelope"], roles=["user"], descending=False)
    )
    assert found.ordinal < 30
    awake = await fleet.edit_agent(agent, AgentEdit())
    assert awake.state.context == (await fleet.agent(agent)).state.context
    assert model.problems == []


async def all_steps(fleet, agent):
    steps = []
    while page := await fleet.store.steps(
        StepQuery(agent_id=agent, limit=1000, after=steps[-1].id if steps else None)
    ):
        steps += page
    return steps
