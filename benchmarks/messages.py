"""Messages a second, latency and time to the first token, against the floor of the same moment."""

from collections import deque
from collections.abc import Awaitable, Callable

from benchmarks.bench import LATENCIES, MODELS, Bench, Target
from benchmarks.floor import floor
from benchmarks.load import Sample, closed_loop, each, summarize
from benchmarks.resources import CpuMeter
from benchmarks.results import Cell, Figure

POOL = 64
"""Agents that take turns at least, so that each has a short history whatever the load."""
CREATING = 8
SENDING = 64
"""Clients that prepare what is measured."""
MOST_ON_TOP_MS = 15
MOST_ON_TOP_FIRST_TOKEN_MS = 12
SHARE_OF_FLOOR = 1 / 3
SHARE_OF_IDEAL = 0.85
STREAMS = (1, 64)
BUSIEST = 512


class Pool:
    """Agents that take turns, each with one message at a time.

    Args:
        agents: ids, at least as many as there will be clients.
        send: sends an agent a message and answers seconds.
    """

    def __init__(self, agents: list[str], send: Callable[[str], Awaitable[float]]) -> None:
        self._free = deque(agents)
        self._send = send

    async def turn(self) -> float:
        agent = self._free.popleft()
        try:
            return await self._send(agent)
        finally:
            self._free.append(agent)


async def new_agents(target: Target, count: int, model: str) -> list[str]:
    """Create agents and send each its first message."""
    agents: list[str] = []

    async def create(_: int) -> float:
        agents.append(await target.api.create_agent(model))
        return 0.0

    await each(create, range(count), CREATING)
    await each(target.api.send, agents, SENDING)
    return agents


async def measure_messages(bench: Bench) -> None:
    """Messages a second at each level, for each model latency."""
    async with bench.data_directory() as data, bench.server(data) as target:
        for latency in LATENCIES:
            for clients in bench.plan.levels:
                bench.say(f"messages: {clients} at once, model latency {latency} ms")
                bench.results.cells.append(await _cell(bench, target, "message", clients, latency))
    cells = {(cell.clients, cell.model_ms): cell for cell in bench.results.cells if cell.kind == "message"}
    bench.results.figures += _message_figures(cells)


async def measure_streams(bench: Bench) -> None:
    """Time to the first token."""
    async with bench.data_directory() as data, bench.server(data) as target:
        for clients in STREAMS:
            bench.say(f"streams: {clients} at once")
            cell = await _cell(bench, target, "stream", clients, 0)
            bench.results.cells.append(cell)
            if clients == 1:
                bench.results.figures.append(
                    Figure(
                        "one agent, first token on top of the model's",
                        cell.on_top,
                        "ms",
                        at_most=MOST_ON_TOP_FIRST_TOKEN_MS,
                        note=f"p50 {cell.measured.p50:.1f} ms, floor {cell.floor.p50:.1f} ms",
                    )
                )


def _message_figures(cells: dict[tuple[int, int], Cell]) -> list[Figure]:
    alone, busy, slow = cells[1, 0], cells[BUSIEST, 0], cells[BUSIEST, 500]
    ideal = BUSIEST / 0.5
    bound = min(SHARE_OF_IDEAL * ideal, SHARE_OF_FLOOR * busy.floor.per_second)
    errors = sum(sum(cell.measured.errors.values()) for cell in cells.values())
    return [
        Figure(
            f"{BUSIEST} agents, latency 0: share of the floor's calls/s",
            busy.ratio,
            at_least=SHARE_OF_FLOOR,
            note=f"{busy.measured.per_second:.0f} messages/s, floor {busy.floor.per_second:.0f}",
        ),
        Figure(
            f"{BUSIEST} agents, latency 500 ms: messages/s",
            slow.measured.per_second,
            at_least=bound,
            note=f"{slow.measured.per_second / ideal:.0%} of the ideal {ideal:.0f}/s; bound: the lower of "
            f"{SHARE_OF_IDEAL:.0%} of that and a third of the floor's rate at latency 0",
        ),
        Figure("errors under load", errors, at_most=0),
        Figure(
            "one agent, one message on top of the model's",
            alone.on_top,
            "ms",
            at_most=MOST_ON_TOP_MS,
            note=f"p50 {alone.measured.p50:.1f} ms, floor {alone.floor.p50:.1f} ms",
        ),
    ]


async def _cell(bench: Bench, target: Target, kind: str, clients: int, latency: int) -> Cell:
    """Load and floor by turns, so that both see the same noise. Each round has new agents."""
    plan, api, model = bench.plan, target.api, bench.endpoints[latency]
    measured: list[Sample] = []
    floors: list[Sample] = []
    meter = CpuMeter(target.process, model)
    shape = {"warm_up": plan.warm_up, "seconds": plan.seconds, "spread": plan.warm_up / 2}
    for _ in range(plan.rounds):
        agents = await new_agents(target, max(clients, POOL), MODELS[latency])
        pool = Pool(agents, api.stream if kind == "stream" else api.send)
        with meter:
            measured.append(await closed_loop(pool.turn, clients, **shape))
        turns = 1 + measured[-1].requests / len(agents)
        # From the first message on, the history grew evenly; halfway it was the average.
        halfway = 2 * round(turns / 2) + 1
        order = {
            "model": MODELS[latency],
            "prompt": await api.prompt(agents[0], halfway),
            "clients": clients,
            "stream": kind == "stream",
        }
        floors.append(await floor(bench.environment(), **order, **shape))
    found = summarize(measured)
    label = f"{kind}, model {latency} ms, {clients} at once"
    bench.results.cpu_ms[label] = meter.milliseconds(found.requests)
    return Cell(kind, clients, latency, found, summarize(floors), halfway)
