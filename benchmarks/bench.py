"""What all scenarios share: how much to measure, the model endpoints, and servers to measure."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from actors.models.providers import KINDS
from benchmarks.api import Api
from benchmarks.results import Results
from benchmarks.server import Command

LATENCIES = (0, 500)
"""Milliseconds that the model takes for an answer."""
MODELS = {0: "openai-compatible/scripted", 500: "vllm/scripted"}
ADDRESSES = {0: "OPENAI_COMPATIBLE_BASE_URL", 500: "VLLM_API_BASE"}
"""The two endpoints of the scripted model, by their latency, as two providers of one server."""
MODEL_CALLS = 1024
"""Calls in flight per provider. With the default of 256, 512 agents would wait for each other."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure. Times are in seconds."""

    levels: tuple[int, ...]
    """Agents at once."""
    rounds: int
    warm_up: float
    seconds: float
    fleet: tuple[int, ...]
    """Sizes of the fleet at which memory is measured."""
    wakes: int
    dedicated: tuple[int, ...]
    """Agents at once where each has an actor of its own."""


FULL = Plan((1, 8, 64, 512), 3, 2, 6, (1_000, 10_000), 200, (1, 8, 16))
QUICK = Plan((1, 64, 512), 1, 2, 3, (100, 1_000), 50, (1, 3))


@dataclass(slots=True)
class Target:
    """A server under measurement, and a client of it."""

    process: Command
    api: Api


class Bench:
    """A run of the benchmark.

    Args:
        plan: how much to measure.
        temporary: directory for the servers' data, which is removed at the end.
        say: is told what is being done.
    """

    def __init__(self, plan: Plan, temporary: Path | None, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.say = say
        self.results = Results()
        self.endpoints: dict[int, Command] = {}
        self._temporary = temporary
        self._ending = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as started:
            for latency in LATENCIES:
                endpoint = Command("scripted-model", "--port=0", f"--latency-ms={latency}", env=_clean())
                self.endpoints[latency] = await started.enter_async_context(endpoint)
            self._ending = started.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ending.aclose()

    def environment(self) -> dict[str, str]:
        """An environment in which the endpoints are model providers, and nothing else is."""
        return _clean() | {ADDRESSES[latency]: self.endpoints[latency].url for latency in LATENCIES}

    @asynccontextmanager
    async def data_directory(self) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="greenroom-benchmark-", dir=self._temporary) as directory:
            yield Path(directory)

    @asynccontextmanager
    async def server(self, data: Path, **settings: float) -> AsyncIterator[Target]:
        """Run a server.

        Args:
            data: its data directory.
            settings: what differs from the defaults.
        """
        given = {"port": 0, "model_calls": MODEL_CALLS, "log_level": "warning", **settings}
        env = self.environment() | {f"GREENROOM_{name.upper()}": str(value) for name, value in given.items()}
        try:
            async with (
                Command("serve", "--data", str(data), env=env) as process,
                Api(process.url) as api,
            ):
                yield Target(process, api)
        finally:
            from actors.cluster import session_directory  # noqa: PLC0415 - imports Ray

            # A server that had to be killed leaves it.
            shutil.rmtree(session_directory(data), ignore_errors=True)


def _clean() -> dict[str, str]:
    providers = {name for kind in KINDS for name in (kind.url_variable, kind.key_variable) if name}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in providers and not name.startswith("GREENROOM_")
    }
