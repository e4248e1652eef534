"""Every agent in a host of its own."""

import asyncio
import os
import signal

import pytest

from actors.fleet import Fleet
from actors.host import Host
from actors.options import Options
from storage.errors import Busy
from tests.actors.in_process import hosts, scripted, small_fleet
from tests.actors.runtime import (
    SECONDS,
    answer,
    check,
    endpoint,
    new_agent,
    new_block,
    request,
    say,
    settled,
    started,
    until,
    value,
)


@pytest.fixture
def options(tmp_path):
    def make(**given) -> Options:
        return Options(data=tmp_path, agents_per_actor=1, **{"shards": 2, "hosts": 2, **given})

    return make


def residents(fleet) -> list[list[str]]:
    return sorted(list(host._agents) for host in hosts(fleet))


async def test_each_agent_has_a_host_and_more_agents_than_hosts_take_turns(options):
    async with small_fleet(options()) as fleet:
        llm = await scripted()
        agents = [await new_agent(fleet, llm) for _ in range(5)]
        for name, agent in zip(["Ada", "Bob", "Cyd", "Dan", "Eve"], agents, strict=True):
            await say(fleet, agent, f"My name is {name}.")
            assert len(hosts(fleet)) <= 2
            assert all(len(each) <= 1 for each in residents(fleet))
        for name, agent in zip(["Ada", "Bob", "Cyd", "Dan", "Eve"], agents, strict=True):
            assert answer(await say(fleet, agent, "what is my name?")) == f"Your name is {name}."
            await check(fleet, agent)


async def test_hosts_are_started_ahead(options):
    async with small_fleet(options(hosts=10)) as fleet:
        assert len(hosts(fleet)) == 2
        await say(fleet, await new_agent(fleet, await scripted()), "hello")
        assert len(hosts(fleet)) == 3


async def test_an_agent_at_work_keeps_its_host(options):
    async with small_fleet(options(scripted_latency_ms=100)) as fleet:
        llm = await scripted()
        agents = [await new_agent(fleet, llm) for _ in range(3)]
        working = [asyncio.create_task(say(fleet, agent, 'say "done"')) for agent in agents[:2]]
        await until(lambda: sum(map(len, residents(fleet))) == 2)
        with pytest.raises(Busy, match="All 2 hosts are at work"):
            await say(fleet, agents[2], "hello")
        assert [answer(each) for each in await asyncio.gather(*working)] == ["done", "done"]
        assert answer(await say(fleet, agents[2], 'say "now"')) == "now"


async def test_an_agent_that_works_unasked_keeps_its_host(options):
    async with small_fleet(options(hosts=1, scripted_latency_ms=100)) as fleet:
        llm = await scripted()
        working, other = [await new_agent(fleet, llm) for _ in range(2)]
        accepted = request(working, "My name is Ada.", background=True)
        await fleet.enqueue(working, accepted)
        with pytest.raises(Busy):
            await say(fleet, other, "hello")
        await settled(fleet, working)
        assert (await fleet.store.run(accepted.run_id)).status == "completed"
        await say(fleet, other, "hello")


async def test_a_host_that_dies_unused_takes_an_agent_when_it_is_back(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        for channel in fleet._directory.channels:
            channel.host.die()
        assert answer(await say(fleet, agent, 'say "hello"')) == "hello"
        [own] = [channel for channel in fleet._directory.channels if channel.host.instance._agents]
        own.host.die()
        assert answer(await say(fleet, agent, 'say "again"')) == "again"
        await check(fleet, agent)


async def test_a_host_that_dies_while_it_takes_an_agent_takes_it_again(options, monkeypatch):
    own = Host.own
    died: list[Host] = []

    async def die_at_first(host, epochs):
        if epochs and not died:
            died.append(host)
            [actor] = [each.host for each in fleet._directory.channels if each.host.instance is host]
            actor.die()
            await asyncio.sleep(SECONDS)
        await own(host, epochs)

    async with small_fleet(options()) as fleet:
        monkeypatch.setattr(Host, "own", die_at_first)
        agent = await new_agent(fleet, await scripted())
        assert answer(await say(fleet, agent, 'say "hello"')) == "hello"
        assert died
        await check(fleet, agent)


async def test_agents_with_open_runs_are_woken_one_after_the_other(options):
    """There are more of them than hosts."""
    async with small_fleet(options(hosts=6, scripted_latency_ms=50, drain_seconds=0)) as fleet:
        llm = await scripted()
        agents = [await new_agent(fleet, llm) for _ in range(6)]
        accepted = [request(agent, "My name is Ada.", background=True) for agent in agents]
        for agent, each in zip(agents, accepted, strict=True):
            await fleet.enqueue(agent, each)
        for channel in fleet._directory.channels:
            for agent in list(channel.host.instance._agents.values()):
                agent._worker.cancel()  # as if the process had died
                agent._mailbox.clear()
    async with small_fleet(options(hosts=1)) as fleet:
        for agent, each in zip(agents, accepted, strict=True):
            await settled(fleet, agent)
            assert (await fleet.store.run(each.run_id)).status == "completed"


async def test_in_processes_of_their_own(options):
    """The real thing: an agent's process is killed, and the others' do not notice."""
    async with endpoint() as model, started(Fleet(options(hosts=3), [model.provider])) as fleet:
        llm = await model.llm()
        board = await new_block(fleet, "board")
        one, other = [await new_agent(fleet, llm, share=[board]) for _ in range(2)]
        await asyncio.gather(*(say(fleet, agent, "My name is Ada.") for agent in (one, other)))
        pids = {agent: await pid_of(fleet, agent) for agent in (one, other)}
        assert pids[one] != pids[other]

        insert = 'call memory_insert {{"label": "board", "new_string": "{0}"}}\nhold own{0} at call 2'
        texts = [insert.format(number) for number in range(2)]
        agents = [one, other]
        sent = [asyncio.create_task(say(fleet, *each)) for each in zip(agents, texts, strict=True)]
        for number in range(2):
            await model.held(f"own{number}", calls=2)
        os.kill(pids[one], signal.SIGKILL)
        model.release("own1")
        await asyncio.gather(*sent)
        assert sorted((await value(fleet, one, "board")).splitlines()) == ["0", "1"]
        assert await pid_of(fleet, other) == pids[other]
        third = await new_agent(fleet, llm)
        fourth = await new_agent(fleet, llm)
        for agent in (third, fourth, one):
            await say(fleet, agent, "hello")
            await check(fleet, agent)
        assert model.problems == []


async def pid_of(fleet: Fleet, agent: str) -> int:
    health = await (await fleet._directory.locate(agent)).host.health.remote()
    return int(health["pid"])
