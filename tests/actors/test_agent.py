"""What comes to an agent at an awkward moment."""

import asyncio
from unittest import mock

import pytest

from actors.options import Options
from actors.protocol import AgentEdit, CompactRequest, Delta
from storage.errors import GreenroomError, NotFound
from storage.ids import new_id
from storage.queries import RunQuery
from tests.actors.in_process import hosts, scripted, small_fleet
from tests.actors.runtime import answer, check, new_agent, new_block, request, say, until, words


@pytest.fixture
async def fleet(tmp_path):
    async with small_fleet(Options(data=tmp_path, shards=1, hosts=1)) as fleet:
        yield fleet


@pytest.fixture
async def agent(fleet):
    agent = await new_agent(fleet, await scripted())
    yield agent
    await check(fleet, agent)


async def awake(fleet, agent):
    """The agent itself, in its host."""
    [host] = hosts(fleet)
    found = host._resident(agent)
    await found.ready()
    return found


async def test_a_message_is_cancelled_just_before_it_begins(fleet, agent):
    sleeper = await awake(fleet, agent)
    send = request(agent, "My name is Ada.")
    async with sleeper.lock:
        sent = asyncio.create_task(collect(fleet, agent, send))
        await until(lambda: sleeper._next)
        assert await fleet.cancel(agent, [send.run_id]) == {send.run_id: "cancelled"}
    assert (await sent)[-1].run.status == "cancelled"
    assert [role for role, _ in await words(fleet, agent)] == ["user"]


async def test_what_was_seen_of_a_cancelled_answer_stays(tmp_path):
    async with small_fleet(Options(data=tmp_path, shards=1, hosts=1, scripted_tokens_per_second=20)) as fleet:
        agent = await new_agent(fleet, await scripted())
        seen = ""
        async for event in fleet.send(
            agent, request(agent, 'say "one two three four five six"', reply="tokens")
        ):
            if isinstance(event, Delta):
                seen += event.text
                if seen == "one":
                    cancelling = asyncio.create_task(fleet.cancel(agent, None))
        assert list((await cancelling).values()) == ["cancelled"]
        assert seen.startswith("one")
        assert "six" not in seen
        assert (await words(fleet, agent))[1:] == [("assistant", seen)]
        await check(fleet, agent)


async def test_an_agent_is_deleted_just_before_a_message_begins(fleet):
    agent = await new_agent(fleet, await scripted())
    sleeper = await awake(fleet, agent)
    async with sleeper.lock:
        sent = asyncio.create_task(say(fleet, agent, "My name is Ada."))
        await until(lambda: sleeper._next)
        deleted = asyncio.create_task(fleet.delete_agent(agent))
        await until(lambda: sleeper._next.refused)
    with pytest.raises(NotFound):
        await sent
    await deleted


async def collect(fleet, agent, send) -> list:
    return [event async for event in fleet.send(agent, send)]


async def test_a_cancel_that_comes_too_late_says_so(fleet, agent):
    """The last step is being committed already."""
    sleeper = await awake(fleet, agent)
    commit = fleet.store.commit
    send = request(agent, "hello")
    outcomes = []

    async def cancel_first(entry):
        if entry.kind == "step":
            cancelling = asyncio.create_task(sleeper.cancel([send.run_id]))
            outcomes.append(cancelling)
            await asyncio.sleep(0)
        return await commit(entry)

    with mock.patch.object(sleeper.store, "commit", cancel_first):
        got = await collect(fleet, agent, send)
    assert got[-1].run.status == "completed"
    assert await outcomes[0] == {send.run_id: "failed"}


async def test_a_block_that_changes_during_an_edit_keeps_its_new_value(fleet):
    block_id = await new_block(fleet, "board", "old")
    agent = await new_agent(fleet, await scripted(), share=[block_id])
    sleeper = await awake(fleet, agent)
    [block] = await fleet.store.blocks([block_id])
    newer = block.model_copy(update={"version": block.version + 1, "value": "new"})
    commit = fleet.store.commit

    async def refresh_meanwhile(entry):
        sleeper.refresh(newer)
        return await commit(entry)

    with mock.patch.object(sleeper.store, "commit", refresh_meanwhile):
        await fleet.edit_agent(agent, AgentEdit(set={"name": "renamed"}))
    assert newer in sleeper.blocks


async def test_a_step_that_fails_by_a_bug_closes_its_run(fleet, agent):
    with (
        mock.patch("actors.loop.execute", side_effect=ZeroDivisionError),
        pytest.raises(GreenroomError, match="unknown error"),
    ):
        await say(fleet, agent, 'call conversation_search {"query": "x"}')
    [run] = await fleet.store.runs(RunQuery(agent_ids=[agent]))
    assert (run.status, run.stop_reason) == ("failed", "error")
    assert answer(await say(fleet, agent, 'say "still here"')) == "still here"


async def test_a_compaction_waits_its_turn_and_can_be_cancelled_until_then(fleet, agent):
    await say(fleet, agent, "hello")
    sleeper = await awake(fleet, agent)
    compaction = CompactRequest(run_id=new_id("run", agent))
    async with sleeper.lock:
        sent = asyncio.create_task(say(fleet, agent, "hello"))
        await until(lambda: sleeper._next)
        compacted = asyncio.create_task(fleet.compact(agent, compaction))
        await until(lambda: sleeper._mailbox)
        assert await fleet.cancel(agent, [compaction.run_id]) == {compaction.run_id: "cancelled"}
    with pytest.raises(GreenroomError, match="cancelled"):
        await compacted
    await sent
    assert "summary" not in [role for role, _ in await words(fleet, agent)]
