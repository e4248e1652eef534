"""A server is killed, as a whole and in parts, while clients talk to it."""

import asyncio
import os
import random

import pytest
import pytest_asyncio

from tests.actors.runtime import until
from tests.crash.load import Load
from tests.running import start

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.crash]

AGENTS = 6
MESSAGES = 12
"""Answered messages between two blows."""


@pytest_asyncio.fixture(loop_scope="module")
async def load(server, client):
    return Load(client, [await client.new_agent() for _ in range(AGENTS)])


async def test_it_still_knows_after_everything_was_killed(machine, server, client):
    agent = await client.new_agent()
    await client.answer(agent, "My name is Ada.")
    server.kill9("everything")
    await machine.start()
    assert await client.answer(agent, "what is my name?") == "Your name is Ada."


@pytest.mark.parametrize("part", ["host", "shard"])
async def test_parts_of_a_server_are_killed(part, server, load):
    async with load:
        for _ in range(2):
            await load.more(MESSAGES)
            await asyncio.sleep(random.uniform(0, 0.1))
            server.kill9(part)
        await load.more(MESSAGES)
    await load.check()
    assert server.process.poll() is None
    assert not any(load.failed.values())


@pytest.mark.parametrize("part", ["server", "everything"])
async def test_a_server_is_killed_and_started_again_at_once(part, machine, server, load):
    async with load:
        await load.more(MESSAGES)
        await asyncio.sleep(random.uniform(0, 0.1))
        server.kill9(part)
        await machine.start()
        await load.more(MESSAGES)
    await load.check()


async def test_a_run_that_was_cut_off_is_closed_without_being_asked_about(machine, server, client, model):
    agent = await client.new_agent()
    sent = asyncio.create_task(client.try_once("POST", f"/v1/agents/{agent}/messages", hold("cut")))
    await model.held("cut", calls=2)
    server.kill9("everything")
    await asyncio.gather(sent, return_exceptions=True)
    await machine.start()

    async def closed() -> bool:
        [run] = await client.get(f"/v1/runs?agent_id={agent}")
        return (run["status"], run["stop_reason"]) == ("failed", "error")

    await until(closed)
    assert await client.answer(agent, "what is my name?") == "Your name is Ada."


def hold(name: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": f"My name is Ada. hold {name} at call 2"}]}


async def test_a_second_server_is_refused(machine, server, client):
    log = machine.directory / "second"
    second = start(*machine.command(), "--port", "0", log=log, env=machine.env, tmp=machine.tmp)
    code = await asyncio.to_thread(second.wait, 30)
    assert code == 1
    assert f"in use by process {server.pid}, serving on {server.url}" in log.read_text()
    assert "Traceback" not in log.read_text()
    await client.get("/v1/health/")


async def test_ctrl_c_lets_running_steps_finish(machine, server, client, model):
    agent = await client.new_agent()
    sent = asyncio.create_task(client.try_once("POST", f"/v1/agents/{agent}/messages", hold("ctrl")))
    await model.held("ctrl", calls=2)
    stopped = asyncio.create_task(asyncio.to_thread(server.stop, group=True))
    await until(lambda: "Stopping" in server.log.read_text())
    model.release("ctrl")
    status, answer = await sent
    assert (status, answer["messages"][-1]["content"]) == (200, "Nice to meet you, Ada!")
    assert await stopped == 0
    assert "Stopped; everything is saved" in server.log.read_text()
    assert server.processes() == []
    assert os.listdir(machine.tmp) == []  # noqa: PTH208
    await machine.start()
    [run] = await client.get(f"/v1/runs?agent_id={agent}")
    assert run["status"] == "completed"


async def test_ctrl_c_closes_what_does_not_finish(machine, client, model, server):
    agent = await client.new_agent()
    sent = asyncio.create_task(client.try_once("POST", f"/v1/agents/{agent}/messages", hold("late")))
    await model.held("late", calls=2)
    assert await asyncio.to_thread(server.stop) == 0
    status, answer = await sent
    assert status == 503, answer
    assert server.processes() == []
    await machine.start()
    [run] = await client.get(f"/v1/runs?agent_id={agent}")
    assert (run["status"], run["stop_reason"]) == ("failed", "error")
    assert await client.answer(agent, "what is my name?") == "Your name is Ada."
