import os
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestClient, TestServer

from server.app import create_app
from server.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GREENROOM_")]:
        monkeypatch.delenv(name)


class StubFleet:
    """Answers what the server itself asks of a fleet."""

    async def metrics(self):
        return {"agents_resident": 3, "steps_total": 41}


@pytest.fixture
async def start():
    """Starts a real server for some routes and answers a client of it."""
    async with AsyncExitStack() as started:

        async def start(*resources, **settings) -> TestClient:
            app = create_app(Settings(**settings), StubFleet(), None, resources)
            return await started.enter_async_context(TestClient(TestServer(app)))

        yield start
