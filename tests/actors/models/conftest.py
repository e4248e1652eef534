"""Real endpoints on 127.0.0.1 and clients that talk to them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from actors.models import Models, Provider
from actors.models.scripted_server import make_app
from storage.records import LlmConfig

KEY = "correct-horse-battery-staple"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def provider_at(url: str, endpoint_type: str = "openai") -> Provider:
    return Provider(
        name="there",
        type="openai",
        endpoint_type=endpoint_type,
        base_url=url,
        api_key=SecretStr(KEY),
        variable="THERE_API_KEY",
    )


@pytest.fixture
def llm() -> LlmConfig:
    return LlmConfig(
        model="scripted",
        model_endpoint_type="openai",
        context_window=8_000,
        handle="there/scripted",
        provider_name="there",
    )


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Starts applications, or one handler for every request, and gives their base URLs."""
    servers: list[TestServer] = []

    async def start(app: web.Application | Handler) -> str:
        if not isinstance(app, web.Application):
            handler, app = app, web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app, host="127.0.0.1")
        servers.append(server)
        await server.start_server()
        return str(server.make_url("/v1"))

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Models]]:
    """Makes :class:`Models` with one provider named ``there``."""
    made: list[Models] = []

    def make(
        url: str, *, calls: int = 8, timeout: float = 5, retries: int = 0, kind: str = "openai"
    ) -> Models:
        made.append(Models([provider_at(url, kind)], calls=calls, timeout=timeout, retries=retries))
        return made[-1]

    yield make
    for models in made:
        await models.close()


@pytest.fixture
async def scripted(serve, connect) -> Models:
    """The scripted model behind real HTTP; never tries twice."""
    return connect(await serve(make_app()))
