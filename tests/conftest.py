import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from letta_client import Letta, NotFoundError
from letta_client.types import AgentState

from tests.running import Running, running

BLOCKS = [
    {"label": "human", "value": "The human's name is Bob the Builder."},
    {"label": "persona", "value": "My name is Sam, the all-knowing sentient AI."},
]

# A test run that is terminated ends what it has started, as one that is interrupted does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def scripted_model(tmp_path_factory) -> Iterator[Running]:
    """The scripted model as an OpenAI-compatible endpoint; `fault: NAME` makes it misbehave."""
    log = tmp_path_factory.mktemp("model") / "log"
    with running("scripted-model", "--port", "0", log=log) as model:
        yield model


@pytest.fixture(scope="session")
def server(tmp_path_factory, scripted_model) -> Iterator[Running]:
    """A running server. `greenroom/scripted` answers in process, `openai/...` over HTTP."""
    directory = tmp_path_factory.mktemp("server")
    options = {"--data": str(directory / "data"), "--port": "0", "--shards": "2", "--hosts": "1"}
    options |= {"--model-retries": "0", "--idle-seconds": "3600", "--drain-seconds": "1"}
    env = {"OPENAI_BASE_URL": scripted_model.url, "OPENAI_API_KEY": "made-up"}
    flags = [part for option in options.items() for part in option]
    with running("serve", *flags, log=directory / "log", env=env) as started:
        yield started


@pytest.fixture(scope="session")
def client(server) -> Iterator[Letta]:
    """The official client, which validates every answer and tries nothing twice."""
    with Letta(base_url=server.url, max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="session")
def http(server) -> Iterator[httpx.Client]:
    """A plain HTTP client, for what the official one cannot send."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def make_agent(client) -> Iterator[Callable[..., AgentState]]:
    """Creates agents that are deleted after the test."""
    created: list[str] = []

    def make(**options: Any) -> AgentState:
        agent = client.agents.create(**{"model": "greenroom/scripted", "memory_blocks": BLOCKS, **options})
        created.append(agent.id)
        return agent

    yield make
    for agent_id in created:
        with suppress(NotFoundError):
            client.agents.delete(agent_id)


@pytest.fixture
def agent(make_agent) -> AgentState:
    return make_agent()
