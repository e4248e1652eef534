"""Agents on real hosts and shards: what they do with messages and edits, alone and at once."""

import asyncio

import pytest
import pytest_asyncio

from actors.fleet import Fleet
from actors.models import ModelError, ModelTimeout
from actors.options import Options
from actors.protocol import AgentEdit, Delta, Ended, Failed, Made
from actors.tools.builtin import BUILTIN
from storage.errors import Busy, Conflict, NotFound
from storage.ids import new_id
from storage.queries import AgentQuery, RunQuery, StepQuery
from tests.actors.runtime import (
    answer,
    check,
    endpoint,
    events,
    history,
    new_agent,
    new_block,
    request,
    say,
    settled,
    started,
    until,
    value,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

INSERT = "memory_insert"
SEARCH = "conversation_search"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model():
    async with endpoint() as model:
        yield model


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fleet(model, tmp_path_factory):
    data = tmp_path_factory.mktemp("fleet")
    options = Options(data=data, shards=2, hosts=2, mailbox=3, in_flight=40, model_timeout=2, model_retries=0)
    async with started(Fleet(options, [model.provider])) as fleet:
        yield fleet


@pytest_asyncio.fixture(loop_scope="module")
async def agent(fleet, model):
    agent = await new_agent(fleet, await model.llm())
    yield agent
    await check(fleet, agent)
    assert model.problems == []


def near(host: int, shard: int = 0) -> str:
    """An id whose like live on this one of the two hosts and are stored in this one of the two shards."""
    return f"agent-00000000-0000-4000-8000-{host * 0x800 + shard:012x}"


async def test_a_message_is_answered_and_stored(fleet, agent):
    ended = await say(fleet, agent, 'say "good morning"')
    assert answer(ended) == "good morning"
    assert await words(fleet, agent) == [("user", 'say "good morning"'), ("assistant", "good morning")]

    run = await fleet.store.run(ended.run.id)
    assert (run.status, run.stop_reason, run.steps) == ("completed", "end_turn", 1)
    assert run.usage.total_tokens > 0
    assert run.total_duration_ns > 0
    [step] = await fleet.store.steps(StepQuery(run_id=run.id))
    assert (step.status, step.stop_reason, step.usage) == ("success", "end_turn", run.usage)
    for message in await history(fleet, agent):
        if message.role != "system":
            assert message.run_id == run.id
    assert (await fleet.agent(agent)).state.agent.last_stop_reason == "end_turn"


async def test_a_name_is_remembered_in_the_block_and_in_the_next_prompt(fleet, agent, model):
    ended = await say(fleet, agent, "My name is Ada.")
    assert [message.role for message in ended.messages] == ["assistant", "tool", "assistant"]
    assert ended.run.steps == 2
    assert "The user's name is Ada." in await value(fleet, agent, "human")
    [block] = [each for each in (await fleet.agent(agent)).blocks if each.label == "human"]
    assert block.changed_by["run_id"] == ended.run.id
    assert block.changed_by["message_id"] == ended.messages[0].id

    await fleet.edit_agent(agent, AgentEdit(reset_messages=True))
    assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."
    assert "The user's name is Ada." in model.prompts[-1][0]["content"]


async def test_several_tools_are_called_in_one_step(fleet, model):
    agent = await new_agent(fleet, await model.llm(parallel_tool_calls=True))
    text = (
        f'call {INSERT} {{"label": "human", "new_string": "first"}}\n'
        f'call {SEARCH} {{"query": "nothing"}}\n'
        f'call {INSERT} {{"label": "human", "new_string": "second"}}\n'
        'call no_such_tool {"x": 1}'
    )
    ended = await say(fleet, agent, text)
    called, returned, _ = ended.messages
    assert [call.name for call in called.tool_calls] == [INSERT, SEARCH, INSERT, "no_such_tool"]
    assert [each.tool_call_id for each in returned.tool_returns] == [call.id for call in called.tool_calls]
    assert [each.status for each in returned.tool_returns] == ["success", "success", "success", "error"]
    assert (await value(fleet, agent, "human")).splitlines() == ["first", "second"]
    await check(fleet, agent)


async def test_a_run_stops_after_max_steps(fleet, agent):
    ended = await say(fleet, agent, "My name is Ada.", max_steps=1)
    assert (ended.run.stop_reason, ended.run.steps) == ("max_steps", 1)
    assert [message.role for message in ended.messages] == ["assistant", "tool"]


async def test_a_running_message_is_cancelled(fleet, agent, model):
    sent = asyncio.create_task(say(fleet, agent, "hold cancelled"))
    await model.held("cancelled")
    [(run_id, outcome)] = (await fleet.cancel(agent, None)).items()
    assert outcome == "cancelled"
    ended = await sent
    assert (ended.run.id, ended.run.status, ended.run.stop_reason) == (run_id, "cancelled", "cancelled")
    assert (await fleet.store.run(run_id)).status == "cancelled"
    assert await words(fleet, agent) == [("user", "hold cancelled")]
    assert answer(await say(fleet, agent, 'say "still here"')) == "still here"


async def test_a_waiting_message_is_cancelled_and_the_running_one_is_not(fleet, agent, model):
    running = asyncio.create_task(say(fleet, agent, 'hold kept, say "kept"'))
    await model.held("kept")
    waiting = request(agent, "never answered")
    sent = asyncio.create_task(collect(fleet, agent, waiting))
    await until_waiting(fleet, agent, waiting.run_id)
    assert await fleet.cancel(agent, [waiting.run_id]) == {waiting.run_id: "cancelled"}
    model.release("kept")
    assert answer(await running) == "kept"
    assert (await sent)[-1].run.status == "cancelled"
    assert model.prompts_with("never answered") == []


async def collect(fleet, agent, send) -> list:
    return [event async for event in fleet.send(agent, send)]


async def until_waiting(fleet, agent, run_id: str) -> None:
    """Wait until a request is in the agent's mailbox: from then on a cancel finds it."""

    async def found() -> bool:
        return (await fleet.cancel(agent, [new_id("run", agent), run_id]))[run_id] == "cancelled"

    await until(found)


async def test_cancelling_a_run_that_is_over_changes_nothing(fleet, agent):
    ended = await say(fleet, agent, "hello")
    assert await fleet.cancel(agent, [ended.run.id]) == {ended.run.id: "failed"}
    assert await fleet.cancel(agent, None) == {}
    assert (await fleet.store.run(ended.run.id)).status == "completed"


async def test_messages_wait_in_their_order_and_too_many_are_refused(fleet, agent, model):
    first = asyncio.create_task(say(fleet, agent, 'hold order, say "0"'))
    await model.held("order")
    waiting = [asyncio.create_task(say(fleet, agent, f'say "{number}"')) for number in (1, 2, 3)]
    with pytest.raises(Busy, match="3 messages are waiting"):
        await asyncio.gather(say(fleet, agent, "one too many"))
    model.release("order")
    answers = [answer(ended) for ended in await asyncio.gather(first, *waiting)]
    assert answers == ["0", "1", "2", "3"]
    assert [text for role, text in await words(fleet, agent) if role == "assistant"] == answers


async def test_no_more_requests_than_allowed_are_in_progress(fleet, model):
    agents = [await new_agent(fleet, await model.llm()) for _ in range(14)]
    sent = [asyncio.create_task(say(fleet, agents[n % 14], "hold crowd")) for n in range(40)]
    await model.held("crowd", calls=14)
    with pytest.raises(Busy, match="40 requests are in progress"):
        await say(fleet, agents[0], "one too many")
    model.release("crowd")
    await asyncio.gather(*sent)
    await say(fleet, agents[0], "now there is room")


async def test_a_message_sent_twice_is_one(fleet, agent, model):
    first = await say(fleet, agent, "My name is Ada.", otid="a")
    before = await words(fleet, agent)
    again = await say(fleet, agent, "My name is Ada.", otid="a")
    assert (again.run, again.messages) == (first.run, first.messages)
    shown = await events(fleet, agent, "My name is Ada.", otid="a", reply="steps")
    assert [event.message for event in shown if isinstance(event, Made)] == first.messages

    sent = [asyncio.create_task(say(fleet, agent, "hold twice", otid="b")) for _ in range(2)]
    await model.held("twice")
    model.release("twice")
    one, other = await asyncio.gather(*sent)
    assert (one.run, one.messages) == (other.run, other.messages)
    assert await words(fleet, agent) == [*before, ("user", "hold twice"), ("assistant", answer(one))]


async def test_an_edit_does_not_wait_for_a_run_and_is_not_undone_by_it(fleet, agent, model):
    sent = asyncio.create_task(say(fleet, agent, "hold edit"))
    await model.held("edit")
    edit = AgentEdit(set={"name": "renamed", "system": "A new template."})
    assert (await fleet.edit_agent(agent, edit)).state.agent.name == "renamed"
    model.release("edit")
    await sent
    state = (await fleet.agent(agent)).state
    assert state.agent.name == "renamed"
    assert "A new template." in state.context[0].text()
    await say(fleet, agent, "hello")
    assert "A new template." in model.prompts[-1][0]["content"]


async def test_tools_come_and_go(fleet, agent, model):
    tool = BUILTIN["memory_rethink"]
    loaded = await fleet.edit_agent(agent, AgentEdit(attach_tools=[tool.id]))
    assert loaded.state.agent.tool_ids.count(tool.id) == 1
    await say(fleet, agent, 'call memory_rethink {"label": "human", "new_memory": "thought over"}')
    assert await value(fleet, agent, "human") == "thought over"
    await fleet.edit_agent(agent, AgentEdit(detach_tools=[tool.id]))
    ended = await say(fleet, agent, 'call memory_rethink {"label": "human", "new_memory": "again"}')
    assert ended.messages[1].tool_returns[0].status == "error"
    assert await value(fleet, agent, "human") == "thought over"


async def test_blocks_come_and_go(fleet, agent, model):
    block = await new_block(fleet, "facts", "The sky is blue.")
    await fleet.edit_agent(agent, AgentEdit(attach_blocks=[block]))
    await say(fleet, agent, "hello")
    assert "The sky is blue." in model.prompts[-1][0]["content"]
    await fleet.edit_agent(agent, AgentEdit(detach_blocks=[block]))
    await say(fleet, agent, "hello")
    assert "The sky is blue." not in model.prompts[-1][0]["content"]
    with pytest.raises(NotFound):
        await fleet.edit_agent(agent, AgentEdit(detach_blocks=[block]))
    with pytest.raises(NotFound):
        await fleet.edit_agent(agent, AgentEdit(attach_blocks=[new_id("block")]))
    with pytest.raises(Conflict, match="'human'"):
        await fleet.edit_agent(agent, AgentEdit(attach_blocks=[await new_block(fleet, "human")]))


async def test_a_block_that_an_agent_deletes_is_gone_from_its_memory(fleet, model):
    agent = await new_agent(fleet, await model.llm(), human="to be forgotten", tools=["memory"])
    await say(fleet, agent, 'call memory {"command": "delete", "path": "/memories/human"}')
    assert [block.label for block in (await fleet.agent(agent)).blocks] == ["persona"]
    await say(fleet, agent, 'call memory {"command": "create", "path": "/memories/new", "file_text": "kept"}')
    assert [block.label for block in (await fleet.agent(agent)).blocks] == ["persona", "new"]
    assert "to be forgotten" not in model.prompts[-1][0]["content"]
    await check(fleet, agent)


async def test_a_reset_empties_the_context_and_keeps_the_history(fleet, agent):
    await say(fleet, agent, 'say "before"')
    loaded = await fleet.edit_agent(agent, AgentEdit(reset_messages=True))
    assert [message.role for message in loaded.state.context] == ["system"]
    await say(fleet, agent, 'say "after"')
    assert [text for role, text in await words(fleet, agent) if role == "assistant"] == ["before", "after"]


async def test_a_reset_during_a_run_leaves_a_usable_agent(fleet, agent, model):
    await say(fleet, agent, 'say "before"')
    sent = asyncio.create_task(say(fleet, agent, "My name is Ada. hold reset"))
    await model.held("reset")
    await fleet.edit_agent(agent, AgentEdit(reset_messages=True))
    model.release("reset")
    assert answer(await sent).startswith("Nice to meet you")
    assert 'say "before"' not in [each.text() for each in (await fleet.agent(agent)).state.context]


async def test_an_agent_is_deleted_while_it_works(fleet, model):
    agent = await new_agent(fleet, await model.llm())
    sent = [asyncio.create_task(say(fleet, agent, f"hold deleted {number}")) for number in range(3)]
    await model.held("deleted")
    await fleet.delete_agent(agent)
    results = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(result) for result in results] == [NotFound] * 3
    for gone in (fleet.agent(agent), say(fleet, agent, "hello"), fleet.delete_agent(agent)):
        with pytest.raises(NotFound):
            await gone
    assert await fleet.store.runs(RunQuery(agent_ids=[agent])) == []
    assert agent not in await fleet.store.find_agents(AgentQuery(limit=1000))


async def test_unknown_agents_are_not_found(fleet):
    unknown = new_id("agent")
    for asked in (
        fleet.agent(unknown),
        say(fleet, unknown, "hello"),
        fleet.edit_agent(unknown, AgentEdit()),
        fleet.delete_agent(unknown),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_agents_that_share_a_block_lose_no_edit(fleet, model):
    """Four agents, one on each host and shard, write to the same two blocks at once."""
    llm = await model.llm()
    shared = [await new_block(fleet, "board", near=near(0)), await new_block(fleet, "wall", near=near(0, 1))]
    agents = [await new_agent(fleet, llm, share=shared, near=near(n % 2, n // 2)) for n in range(4)]
    written = []
    for turn in range(5):
        texts = [f"{agent[-8:]} {n} {turn}" for n, agent in enumerate(agents)]
        lines = [
            f'call {INSERT} {{"label": "{label}", "new_string": "{text}"}}'
            for text in texts
            for label in ("board", "wall")
        ]
        pairs = ["\n".join(lines[n : n + 2]) for n in range(0, 8, 2)]
        await asyncio.gather(*(say(fleet, *each) for each in zip(agents, pairs, strict=True)))
        written += texts
    for block in await fleet.store.blocks(shared):
        assert sorted(block.value.splitlines()) == sorted(written)
    for agent in agents:
        await check(fleet, agent)


async def test_a_change_to_a_shared_block_is_in_every_agents_next_prompt(fleet, model):
    llm = await model.llm()
    block = await new_block(fleet, "board", "empty")
    agents = [await new_agent(fleet, llm, share=[block], near=near(n)) for n in (0, 1)]
    await asyncio.gather(*(say(fleet, agent, "hello") for agent in agents))
    await fleet.edit_block(block, {"value": "written by hand"})
    for agent in agents:
        await say(fleet, agent, "hello")
        assert "written by hand" in model.prompts[-1][0]["content"]
    await say(fleet, agents[0], f'call {INSERT} {{"label": "board", "new_string": "by an agent"}}')
    await say(fleet, agents[1], "hello")
    assert "by an agent" in model.prompts[-1][0]["content"]
    await fleet.delete_block(block)
    await say(fleet, agents[1], "hello")
    assert "by an agent" not in model.prompts[-1][0]["content"]


@pytest.mark.parametrize("model_name", ["endpoint", "in process"])
async def test_every_form_of_reply_tells_the_same(fleet, model, model_name):
    llm = await model.llm(parallel_tool_calls=True)
    if model_name == "in process":
        llm = llm.model_copy(update={"provider_name": "greenroom", "handle": "greenroom/scripted"})
    said = "Think. My name is Ada."
    told = {}
    for reply in ("result", "steps", "tokens"):
        agent = await new_agent(fleet, llm)
        got = await events(fleet, agent, said, reply=reply)
        assert isinstance(got[-1], Ended)
        stored = [each for each in await history(fleet, agent) if each.role in ("assistant", "tool")]
        assert got[-1].messages == stored
        told[reply] = stored
        # Calls are told before their step is committed and gets its place in the history.
        made = [event.message.model_copy(update={"ordinal": 0}) for event in got if isinstance(event, Made)]
        stored = [each.model_copy(update={"ordinal": 0}) for each in stored]
        deltas = [event for event in got if isinstance(event, Delta)]
        if reply == "result":
            assert not made
            assert not deltas
        elif reply == "steps":
            assert made == stored
            assert not deltas
        else:
            assert made == [each for each in stored if each.role == "tool"]
            for message in stored:
                assert pieced_together(deltas, message.id) == {
                    kind: text for kind, text in written(message).items() if text
                }
        await check(fleet, agent)
    same = [[(each.role, each.text(), each.reasoning) for each in messages] for messages in told.values()]
    assert same[0] == same[1] == same[2]


def pieced_together(deltas: list[Delta], message_id: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    call = ""
    for delta in deltas:
        if delta.message_id == message_id:
            call = f"{delta.tool_name} {delta.tool_call_id}" if delta.tool_call_id else call
            kind = f"tool_call {call}" if delta.kind == "tool_call" else delta.kind
            texts[kind] = texts.get(kind, "") + delta.text
    return texts


def written(message) -> dict[str, str]:
    calls = {f"tool_call {call.name} {call.id}": call.arguments for call in message.tool_calls}
    return {"reasoning": message.reasoning or "", "text": message.text(), **calls}


async def test_an_agent_of_an_older_type_speaks_through_send_message(fleet, model):
    agent = await new_agent(fleet, await model.llm(), agent_type="memgpt_agent")
    ended = await say(fleet, agent, "My name is Ada.")
    calls = [call for message in ended.messages for call in message.tool_calls]
    assert [call.name for call in calls] == ["core_memory_append", "send_message"]
    assert '"request_heartbeat": true' in calls[0].arguments
    assert ended.run.stop_reason == "end_turn"
    assert "Ada" in await value(fleet, agent, "human")
    nudges = [text for role, text in await words(fleet, agent) if role == "user"][1:]
    assert len(nudges) == 1
    assert "heartbeat" in nudges[0]
    await check(fleet, agent)
    assert model.problems == []


@pytest.mark.parametrize("fault", ["500", "429", "hang", "garbage", "half-stream", "html", "empty", "401"])
@pytest.mark.parametrize("reply", ["result", "tokens"])
async def test_a_provider_that_fails_fails_the_run_and_nothing_else(fleet, agent, fault, reply):
    await say(fleet, agent, 'say "before"')
    before = await words(fleet, agent)
    last = (await events(fleet, agent, f"fault: {fault}", reply=reply))[-1]
    assert isinstance(last, Failed)
    assert isinstance(last.error, ModelTimeout if fault == "hang" else ModelError)
    run = await fleet.store.run(last.run_id)
    assert (run.status, run.stop_reason, run.error_type) == ("failed", "llm_api_error", last.error.code)
    assert await words(fleet, agent) == before
    assert answer(await say(fleet, agent, 'say "after"')) == "after"


async def test_a_run_goes_on_when_nobody_listens_any_more(fleet, agent, model):
    sent = fleet.send(agent, request(agent, "My name is Ada. hold left", reply="steps"))
    listening = asyncio.create_task(anext(sent))
    await model.held("left")
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await sent.aclose()
    model.release("left")
    await settled(fleet, agent)
    [run] = await fleet.store.runs(RunQuery(agent_ids=[agent]))
    assert run.status == "completed"
    assert "Ada" in await value(fleet, agent, "human")
