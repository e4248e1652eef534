"""Agents leave memory and come back as they were."""

import asyncio
from unittest import mock

import pytest

from actors import host as host_module
from actors.options import Options
from actors.protocol import AgentEdit
from storage.commits import Delta, Entry
from storage.errors import NotFound, StaleEpoch
from storage.ids import new_id
from tests.actors.in_process import hosts, scripted, small_fleet
from tests.actors.runtime import answer, check, new_agent, new_block, say, until, value


@pytest.fixture
def options(tmp_path):
    def make(**given) -> Options:
        return Options(data=tmp_path, **{"shards": 1, "hosts": 1, **given})

    return make


def resident(fleet) -> list[str]:
    return [agent_id for host in hosts(fleet) for agent_id in host._agents]


async def snapshot(fleet, agent):
    """What an agent remembers, in memory or just woken."""
    [host] = hosts(fleet)
    awake = host._resident(agent)
    await awake.ready()
    return awake._seq, awake.state.model_copy(deep=True), list(awake.blocks)


async def test_the_agents_used_longest_ago_make_room(options):
    async with small_fleet(options(agents_per_actor=2)) as fleet:
        llm = await scripted()
        a, b, c = [await new_agent(fleet, llm) for _ in range(3)]
        for agent in (a, b, a, c):
            await say(fleet, agent, "hello")
        assert resident(fleet) == [a, c]
        assert (await fleet.metrics())["hibernations"] == 1


async def test_an_agent_at_work_does_not_make_room(options):
    async with small_fleet(options(agents_per_actor=2, scripted_latency_ms=300)) as fleet:
        llm, [host] = await scripted(), hosts(fleet)
        agents = [await new_agent(fleet, llm) for _ in range(6)]
        sent = [asyncio.create_task(say(fleet, agent, 'say "done"')) for agent in agents]
        await until(lambda: sum(agent._loop is not None for agent in host._agents.values()) == 6)
        assert [answer(each) for each in await asyncio.gather(*sent)] == ["done"] * 6
        assert len(resident(fleet)) == 2


async def test_an_idle_agent_leaves_after_a_while(options, monkeypatch):
    monkeypatch.setattr(host_module, "SWEEP_SECONDS", 0.02)
    async with small_fleet(options(idle_seconds=0.1)) as fleet:
        agent = await new_agent(fleet, await scripted())
        await say(fleet, agent, "My name is Ada.")
        await until(lambda: not resident(fleet))
        assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."


async def test_memory_has_a_bound(options):
    async with small_fleet(options(host_memory_mb=256)) as fleet:
        [host] = hosts(fleet)
        host.options.host_memory_mb = 1
        llm = await scripted()
        agents = [await new_agent(fleet, llm) for _ in range(6)]
        for agent in agents:
            await say(fleet, agent, "many words " * 30_000)
        assert resident(fleet)[-1] == agents[-1]
        assert len(resident(fleet)) < 6
        assert host._bytes == sum(each.size for each in host._agents.values())
        assert host._bytes < 2**20


async def test_an_agent_comes_back_as_it_was(options):
    async with small_fleet(options(agents_per_actor=2)) as fleet:
        llm = await scripted()
        agent, *others = [await new_agent(fleet, llm) for _ in range(3)]
        await say(fleet, agent, "My name is Ada.", otid="first")
        await fleet.edit_agent(agent, AgentEdit(set={"name": "renamed", "tags": ["a", "b"]}))
        before = await snapshot(fleet, agent)
        for other in others:
            await say(fleet, other, "hello")
        assert agent not in resident(fleet)
        assert await snapshot(fleet, agent) == before
        await check(fleet, agent)


async def test_an_agent_comes_back_as_it_was_from_a_store_that_was_closed(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        await say(fleet, agent, "My name is Ada.", otid="first")
        before = await snapshot(fleet, agent)
    async with small_fleet(options()) as fleet:
        assert await snapshot(fleet, agent) == before
        again = await say(fleet, agent, "My name is Ada.", otid="first")
        assert again.run.id == before[1].keys["first"]
        await check(fleet, agent)


async def test_only_the_newest_activation_can_commit(options):
    """Somebody takes an agent over while it is awake: what it still tries to commit is refused."""
    async with small_fleet(options(scripted_latency_ms=100)) as fleet:
        agent = await new_agent(fleet, await scripted())
        await say(fleet, agent, "My name is Ada.")
        [host] = hosts(fleet)
        old = host._agents[agent]
        epochs = await fleet.store.claim([agent], "somebody else")
        loaded = await fleet.agent(agent)
        entry = Entry(
            "edit", agent, loaded.seq + 1, epochs[agent], Delta(agent={"name": "theirs"}).pack(), "k"
        )
        await fleet.store.commit(entry)
        stale = Entry("edit", agent, loaded.seq + 2, old.epoch, Delta(agent={"name": "ours"}).pack(), "l")
        with pytest.raises(StaleEpoch):
            await fleet.store.commit(stale)
        with pytest.raises(Exception, match="died repeatedly"):
            await say(fleet, agent, "My name is Bob.")
        assert old.gone
        assert (await fleet.agent(agent)).state.agent.name == "theirs"
        assert "Bob" not in await value(fleet, agent, "human")


async def test_a_host_whose_slots_are_taken_over_gives_its_agents_up(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        await say(fleet, agent, "My name is Ada.")
        [channel] = fleet._directory.channels
        await fleet._directory._take_over(channel)
        assert resident(fleet) == []
        assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."


async def test_an_agent_that_does_not_exist_stays_nowhere(options):
    async with small_fleet(options()) as fleet:
        for asked in (fleet.delete_agent(new_id("agent")), say(fleet, new_id("agent"), "hello")):
            with pytest.raises(NotFound):
                await asked
        assert resident(fleet) == []


async def test_a_block_that_changes_is_told_once_to_an_agent_that_could_not_be_loaded(options):
    async with small_fleet(options()) as fleet:
        [host] = hosts(fleet)
        ghost = host._resident(new_id("agent"))
        with mock.patch.object(ghost, "refresh", wraps=ghost.refresh) as refreshed:
            loading = asyncio.create_task(ghost.ready())
            await asyncio.sleep(0)
            await fleet.edit_block(await new_block(fleet, "board"), {"value": "written"})
            with pytest.raises(NotFound):
                await loading
            for _ in range(20):
                await asyncio.sleep(0)
        assert refreshed.call_count <= 2
