"""Hosts and shards are killed under what agents do: it goes on, and nothing is done twice."""

import asyncio
import os
import signal
from contextlib import suppress

import pytest
import pytest_asyncio

from actors import fleet as fleet_module
from actors.fleet import Fleet
from actors.options import Options
from actors.protocol import AgentEdit, Ended, Made
from storage.queries import RunQuery
from tests.actors.runtime import (
    answer,
    check,
    endpoint,
    events,
    new_agent,
    request,
    say,
    settled,
    started,
    value,
    words,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model():
    async with endpoint() as model:
        yield model


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fleet(model, tmp_path_factory):
    options = Options(data=tmp_path_factory.mktemp("fleet"), shards=1, hosts=1, model_retries=0)
    async with started(Fleet(options, [model.provider])) as fleet:
        yield fleet


@pytest_asyncio.fixture(loop_scope="module")
async def agent(fleet, model):
    agent = await new_agent(fleet, await model.llm())
    yield agent
    await check(fleet, agent)
    assert model.problems == []


async def host(fleet) -> int:
    """The process id of the only host."""
    [channel] = fleet._directory.channels
    return int((await channel.host.health.remote())["pid"])


async def shard(fleet) -> int:
    [shard] = fleet.store.shards
    return await shard.process.remote()


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def test_a_step_that_was_not_committed_is_run_again(fleet, agent, model):
    sent = asyncio.create_task(say(fleet, agent, 'hold first at call 1, say "hello"'))
    await model.held("first")
    kill(await host(fleet))
    assert answer(await sent) == "hello"
    assert model.calls["first"] == 2
    assert len(await words(fleet, agent)) == 2


async def test_a_run_goes_on_from_its_last_committed_step(fleet, agent, model):
    sent = asyncio.create_task(events(fleet, agent, "My name is Ada. hold second at call 2", reply="steps"))
    await model.held("second", calls=2)
    kill(await host(fleet))
    got = await sent
    assert isinstance(got[-1], Ended)
    assert got[-1].run.steps == 2
    assert model.calls["second"] == 3
    assert [event.message.role for event in got if isinstance(event, Made)] == [
        "assistant",
        "tool",
        "assistant",
    ]
    assert [message.role for message in got[-1].messages] == ["assistant", "tool", "assistant"]
    assert await value(fleet, agent, "human") == "The user's name is Ada."
    assert [role for role, _ in await words(fleet, agent)] == ["user", "assistant", "tool", "assistant"]


async def test_messages_that_wait_keep_their_order(fleet, agent, model):
    texts = ['hold queue at call 1, say "0"', *(f'say "{number}"' for number in range(1, 6))]
    sent = [asyncio.create_task(say(fleet, agent, text)) for text in texts]
    await model.held("queue")
    kill(await host(fleet))
    assert [answer(ended) for ended in await asyncio.gather(*sent)] == ["0", "1", "2", "3", "4", "5"]
    assert [text for role, text in await words(fleet, agent) if role == "user"] == texts


async def test_many_agents_go_on(fleet, model):
    llm = await model.llm()
    agents = [await new_agent(fleet, llm) for _ in range(8)]
    sent = [
        asyncio.create_task(say(fleet, agent, f"My name is Ada. hold many{n} at call 1"))
        for n, agent in enumerate(agents)
    ]
    for n in range(8):
        await model.held(f"many{n}")
    kill(await host(fleet))
    assert {answer(ended) for ended in await asyncio.gather(*sent)} == {"Nice to meet you, Ada!"}
    for agent in agents:
        assert await value(fleet, agent, "human") == "The user's name is Ada."
        await check(fleet, agent)


async def test_what_was_acknowledged_before_it_ran_goes_on_by_itself(fleet, agent, model):
    accepted = request(agent, "My name is Ada. hold accepted at call 1", background=True)
    assert (await fleet.enqueue(agent, accepted)).status == "created"
    await model.held("accepted")
    kill(await host(fleet))
    await settled(fleet, agent)
    assert (await fleet.store.run(accepted.run_id)).status == "completed"
    assert await value(fleet, agent, "human") == "The user's name is Ada."


async def test_a_run_that_nobody_waits_for_is_closed(fleet, agent, model):
    sent = fleet.send(agent, request(agent, "My name is Ada. hold alone at call 2"))
    listening = asyncio.create_task(anext(sent))
    await model.held("alone", calls=2)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await sent.aclose()
    kill(await host(fleet))
    await settled(fleet, agent)
    [run] = await fleet.store.runs(RunQuery(agent_ids=[agent]))
    assert (run.status, run.stop_reason, run.error_type) == ("failed", "error", "interrupted")
    assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."


async def test_steps_wait_for_a_shard_that_is_started_again(fleet, agent, model):
    sent = asyncio.create_task(say(fleet, agent, "My name is Ada. hold shard at call 1"))
    await model.held("shard")
    kill(await shard(fleet))
    edited = asyncio.create_task(fleet.edit_agent(agent, AgentEdit(set={"name": "renamed"})))
    model.release("shard")
    assert answer(await sent) == "Nice to meet you, Ada!"
    await edited
    assert (await fleet.agent(agent)).state.agent.name == "renamed"


async def test_host_and_shard_die_together(fleet, agent, model):
    sent = asyncio.create_task(say(fleet, agent, "My name is Ada. hold both at call 2"))
    await model.held("both", calls=2)
    kill(await host(fleet), await shard(fleet))
    assert answer(await sent) == "Nice to meet you, Ada!"
    assert await value(fleet, agent, "human") == "The user's name is Ada."
    assert [role for role, _ in await words(fleet, agent)] == ["user", "assistant", "tool", "assistant"]


async def test_a_host_that_hangs_is_started_again(fleet, agent, model, monkeypatch):
    monkeypatch.setattr(fleet_module, "HEALTH_SECONDS", 0.2)
    monkeypatch.setattr(fleet_module, "STUCK_SECONDS", 2)
    await say(fleet, agent, "My name is Ada.")
    stuck = await host(fleet)
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert answer(await say(fleet, agent, "what is my name?")) == "Your name is Ada."
        assert await host(fleet) != stuck
    finally:
        with suppress(ProcessLookupError):
            kill(stuck)
