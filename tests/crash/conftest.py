"""The machine that is killed again and again: one for each module of crash tests."""

import asyncio
import socket

import pytest_asyncio

from tests.actors.runtime import Endpoint, endpoint
from tests.crash.load import Client
from tests.crash.machine import Machine
from tests.running import end, tmp_directory


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def model():
    async with endpoint() as model:
        yield model
        assert model.problems == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def machine(model: Endpoint, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {"OPENAI_COMPATIBLE_BASE_URL": model.provider.base_url}
    with tmp_directory() as tmp:
        machine = Machine(tmp_path_factory.mktemp("machine"), tmp, port, env)
        try:
            yield machine
        finally:
            if machine.server:
                await asyncio.to_thread(end, machine.server.process)


@pytest_asyncio.fixture(loop_scope="module")
async def server(machine: Machine):
    return await machine.running()


@pytest_asyncio.fixture(loop_scope="module")
async def client(machine: Machine):
    async with Client(f"http://127.0.0.1:{machine.port}") as client:
        yield client
