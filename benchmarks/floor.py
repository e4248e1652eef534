"""The floor: the same model calls without a server around them.

A process of its own calls the model's endpoint through the client that a host uses, with the prompt
that an agent would send. Nothing can answer more messages a second than this, or sooner.
"""

import asyncio
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import uvloop

from actors.models import Catalog, ModelDelta, ModelError, ModelRequest, Models, providers_from_environment
from benchmarks.load import RequestFailed, Sample, closed_loop

ROOT = Path(__file__).parents[1]


async def floor(env: dict[str, str], **order: Any) -> Sample:
    """Measure the floor in a new process.

    Args:
        env: its environment, which configures the provider.
        order: what to do; see :func:`_work_off`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.floor"),
        cwd=ROOT,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, _ = await process.communicate(orjson.dumps(order))
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Sample(**orjson.loads(answer))


async def _work_off(
    *,
    model: str,
    prompt: dict[str, Any],
    clients: int,
    stream: bool,
    warm_up: float,
    seconds: float,
    spread: float,
) -> Sample:
    providers = providers_from_environment(os.environ)
    llm = await Catalog(providers).resolve(model)
    models = Models(providers, calls=clients, timeout=120, retries=0)
    request = ModelRequest(llm, prompt["messages"], prompt["tools"])

    async def call() -> float:
        start = time.perf_counter()
        first: float | None = None

        def on_delta(_: ModelDelta) -> None:
            nonlocal first
            first = first or time.perf_counter() - start

        try:
            await models.complete(request, on_delta if stream else None)
        except ModelError as error:
            raise RequestFailed(repr(error)) from error
        return first or time.perf_counter() - start

    try:
        await call()  # the first one builds the client
        return await closed_loop(call, clients, warm_up=warm_up, seconds=seconds, spread=spread)
    finally:
        await models.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sample = runner.run(_work_off(**orjson.loads(sys.stdin.buffer.read())))
    sys.stdout.buffer.write(orjson.dumps(asdict(sample)))
