"""Load: a number of clients, each with one request at a time."""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")

PAUSE_AFTER_ERROR = 0.05


class RequestFailed(Exception):
    """A request was answered with something else than what it asked for."""


@dataclass(slots=True)
class Sample:
    """What was seen of requests in a window of time."""

    seconds: float
    """Length of the window."""
    latencies: list[float] = field(default_factory=list)
    """Seconds that each request took which ended well within the window."""
    requests: int = 0
    """All that were made, also before and after the window."""
    errors: dict[str, int] = field(default_factory=dict)
    """How often each error came, at any time."""

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


@dataclass(slots=True)
class Summary:
    """Several rounds of the same load. Latencies are in milliseconds and of all rounds together."""

    per_second: float
    """Of the median round."""
    rounds: list[float]
    p50: float
    p95: float
    p99: float
    requests: int
    errors: dict[str, int]


def summarize(samples: list[Sample]) -> Summary:
    latencies = sorted(1000 * each for sample in samples for each in sample.latencies)
    rounds = [sample.per_second for sample in samples]
    errors: Counter[str] = Counter()
    for sample in samples:
        errors.update(sample.errors)
    return Summary(
        per_second=statistics.median(rounds),
        rounds=rounds,
        p50=quantile(latencies, 0.50),
        p95=quantile(latencies, 0.95),
        p99=quantile(latencies, 0.99),
        requests=sum(sample.requests for sample in samples),
        errors=dict(errors),
    )


def quantile(ordered: list[float], share: float) -> float:
    """The value that this share of the ordered values does not exceed; NaN without values."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def closed_loop(
    work: Callable[[], Awaitable[float]], clients: int, *, warm_up: float, seconds: float, spread: float = 0
) -> Sample:
    """Keep clients at work, each with its next request when the last one was answered.

    Args:
        work: one request; answers the seconds to record of it.
        clients: requests at once.
        warm_up: seconds before the window that counts.
        seconds: length of the window.
        spread: seconds over which the clients begin, so that they do not march in step.
    """
    start = time.perf_counter()
    opens, closes = start + warm_up, start + warm_up + seconds
    sample, errors = Sample(seconds), Counter[str]()

    async def client(number: int) -> None:
        await asyncio.sleep(spread * number / clients)
        while time.perf_counter() < closes:
            try:
                latency = await work()
            except RequestFailed as error:
                errors[str(error)] += 1
                await asyncio.sleep(PAUSE_AFTER_ERROR)
            else:
                if opens <= time.perf_counter() <= closes:
                    sample.latencies.append(latency)
            sample.requests += 1

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
    sample.errors = dict(errors)
    return sample


async def each(work: Callable[[Item], Awaitable[float]], items: Iterable[Item], clients: int) -> Sample:
    """Do something once for every item, so many at a time; the window is the time that it takes.

    Raises:
        RequestFailed: what is prepared here has to be complete, so the first error ends it.
    """
    queue = iter(items)
    sample = Sample(0)

    async def client() -> None:
        for item in queue:
            sample.latencies.append(await work(item))
            sample.requests += 1

    start = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
    except* RequestFailed as failed:
        raise failed.exceptions[0] from None
    sample.seconds = time.perf_counter() - start
    return sample
