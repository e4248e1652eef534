"""The line between a server and its hosts, when something on it breaks."""

import asyncio
import time
from unittest import mock

import pytest
import ray

from actors import fleet as fleet_module
from actors.fleet import Fleet
from actors.host import Outbox
from actors.options import Options
from actors.protocol import AgentEdit
from storage.errors import Unavailable
from storage.queries import RunQuery
from tests.actors.in_process import Actor, hosts, scripted, small_fleet, without_ray
from tests.actors.runtime import answer, check, new_agent, new_block, say, until, value, words


@pytest.fixture
def options(tmp_path):
    def make(**given) -> Options:
        return Options(data=tmp_path, **{"shards": 1, "hosts": 1, **given})

    return make


async def test_a_host_that_died_while_nothing_was_under_way_works_again(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        await say(fleet, agent, "My name is Ada.")
        fleet._directory.channels[0].host.die()
        assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."


async def test_a_host_comes_back_although_its_shard_is_gone_at_first(options, monkeypatch):
    monkeypatch.setattr("actors.channel.RETRY_SECONDS", 0.01)
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        claim = fleet.store.claim
        tries = [Unavailable("gone"), Unavailable("still gone")]

        async def claim_at_last(*arguments):
            if tries:
                raise tries.pop()
            return await claim(*arguments)

        with mock.patch.object(fleet.store, "claim", claim_at_last):
            fleet._directory.channels[0].host.die()
            assert answer(await say(fleet, agent, 'say "back"')) == "back"
        assert not tries


async def test_a_host_that_is_being_started_is_not_given_up(options, monkeypatch):
    """What is sent to it fails at once, before anything else tells that it has died."""
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        call, failed = Actor.call, []

        async def fail_until_it_has_died(actor, name, arguments):
            if name == "deliver" and not failed:
                failed.append(name)
                asyncio.get_running_loop().call_later(0.1, actor.die)
            if name == "deliver" and actor.instance is first:
                raise ray.exceptions.ActorUnavailableError("It is restarting.", None)
            return await call(actor, name, arguments)

        [first] = hosts(fleet)
        monkeypatch.setattr(Actor, "call", fail_until_it_has_died)
        assert answer(await say(fleet, agent, 'say "back"')) == "back"
        assert failed


async def test_a_host_that_stays_away_is_reported(options, monkeypatch):
    monkeypatch.setattr("actors.channel.RESTART_SECONDS", 0.1)
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        with mock.patch.object(fleet.store, "claim", side_effect=Unavailable("gone")):
            fleet._directory.channels[0].host.die()
            with pytest.raises(Unavailable, match="host is down"):
                await say(fleet, agent, "hello")


async def test_a_run_does_not_wait_for_another_host_when_its_own_has_died(options):
    """It has changed a shared block, and was to be answered when the other host knows."""
    async with small_fleet(options(hosts=2, scripted_latency_ms=50)) as fleet:
        block = await new_block(fleet, "board")
        here = "agent-00000000-0000-4000-8000-000000000001"
        agent = await new_agent(fleet, await scripted(), share=[block], near=here)
        mine, other = fleet._directory.channels
        other._ready.clear()  # as if it were being started again
        text = 'call memory_insert {"label": "board", "new_string": "x"}'
        sent = asyncio.create_task(say(fleet, agent, text))

        async def written() -> bool:
            return await value(fleet, agent, "board") == "x"

        await until(written)
        mine.host.die()
        assert (await sent).run.status == "completed"
        assert await value(fleet, agent, "board") == "x"
        other._ready.set()
        await check(fleet, agent)


async def test_replies_that_cannot_be_read_are_no_end(options, monkeypatch):
    monkeypatch.setattr("actors.channel.RETRY_SECONDS", 0.01)
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        take = Outbox.take
        broken = [RuntimeError("cannot be read")]

        async def take_at_last(outbox):
            replies = await take(outbox)
            if broken:
                raise broken.pop()
            return replies

        with mock.patch.object(Outbox, "take", take_at_last):
            await say(fleet, agent, "hello")
            assert answer(await say(fleet, agent, 'say "hello"')) == "hello"
        assert not broken
        await check(fleet, agent)


async def test_an_answer_that_is_lost_on_its_way_is_given_from_the_store(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        with mock.patch.object(hosts(fleet)[0]._outbox, "put"):
            sent = asyncio.create_task(say(fleet, agent, "My name is Ada."))

            async def done() -> bool:
                return (await fleet.agent(agent)).state.agent.last_stop_reason == "end_turn"

            await until(done)
            fleet._directory.channels[0].host.die()
        ended = await sent
        assert answer(ended) == "Nice to meet you, Ada!"
        assert [run.id for run in await fleet.store.runs(RunQuery(agent_ids=[agent]))] == [ended.run.id]
        assert [role for role, _ in await words(fleet, agent)] == ["user", "assistant", "tool", "assistant"]


async def test_what_cannot_be_sent_is_not_waited_for(options):
    async with small_fleet(options()) as fleet:
        agent = await new_agent(fleet, await scripted())
        async with asyncio.timeout(5):
            with pytest.raises(ValueError, match="surrogates"):
                await fleet.edit_agent(agent, AgentEdit(set={"name": "\ud800"}))
        await check(fleet, agent)


async def test_a_host_whose_loop_is_stuck_is_started_again(options, monkeypatch):
    monkeypatch.setattr(fleet_module, "HEALTH_SECONDS", 0.01)
    async with small_fleet(options()) as fleet:
        [host] = hosts(fleet)
        with mock.patch("ray.kill") as kill:
            await asyncio.sleep(0.05)
            assert not kill.called
            host._beat = time.monotonic() - 100
            await until(lambda: kill.called)
        assert kill.call_args == mock.call(fleet._directory.channels[0].host, no_restart=False)


async def test_what_finishes_while_the_server_stops_is_answered(options):
    with without_ray():
        fleet = Fleet(options(scripted_latency_ms=50), [])
        await fleet.start(lambda line: None)
        agent = await new_agent(fleet, await scripted())
        sent = asyncio.create_task(say(fleet, agent, "My name is Ada."))
        await until(lambda: hosts(fleet)[0]._agents)
        await fleet.close()
        assert answer(await sent) == "Nice to meet you, Ada!"
        with pytest.raises(Unavailable, match="shutting down"):
            await say(fleet, agent, "hello")
