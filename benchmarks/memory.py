"""Memory: agents with long histories, searches of what they know, and a block that many of them share."""

import statistics
import time
from dataclasses import dataclass
from functools import partial
from itertools import count

import orjson

from benchmarks.api import HUMAN, PERSONA, Api
from benchmarks.bench import MODELS, QUICK, Bench
from benchmarks.fleet import AWAKE_SECONDS, MIB
from benchmarks.histories import lengthen
from benchmarks.load import each, quantile
from benchmarks.messages import CREATING, SENDING
from benchmarks.resources import memory
from benchmarks.results import Figure
from benchmarks.searches import search

IN_CONTEXT = 20
"""Messages that every agent has in context at first, however long its history is."""
WARM_UP = 3
"""Messages to an agent before those that count."""
MOST_TIMES_FRESH = 1.3
MOST_SEARCH_MS = 50
MOST_MEMORY_RATIO = 1.1
"""If the longer history were in memory, it would be at least 1.3."""
MOST_EDIT_RATIO = 1.5
"""Between states of the fleet; what is left of noise in medians of a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Amounts:
    histories: tuple[int, ...]
    """Lengths to compare with that of a fresh agent."""
    sends: int
    """Messages to each agent."""
    weighed: tuple[int, int]
    """Lengths of history with which a host is weighed."""
    messages: int
    passages: int
    searches: int
    sharing: int
    """Agents with the same block."""
    resident: int
    """Those of them that are awake."""
    edits: int


FULL = Amounts((2_000, 20_000), 200, (200, 20_000), 100_000, 10_000, 200, 1_000, 100, 100)
SMALL = Amounts((200, 2_000), 50, (200, 2_000), 2_000, 500, 30, 100, 10, 30)


class BlockApi(Api):
    """A client that also shares blocks."""

    async def create_block(self) -> str:
        block = {"label": "board", "value": "Nothing yet."}
        return str(orjson.loads(await self._request("POST", f"{self._root}blocks/", block))["id"])

    async def create_sharing(self, block_id: str) -> str:
        """Create an agent that has a block of others; answers its id."""
        blocks = [{"label": "human", "value": HUMAN}, {"label": "persona", "value": PERSONA}]
        agent = {"model": MODELS[0], "memory_blocks": blocks, "block_ids": [block_id]}
        return str(orjson.loads(await self._request("POST", self._url, agent))["id"])

    async def edit_block(self, block_id: str, value: str) -> float:
        start = time.perf_counter()
        await self._request("PATCH", f"{self._root}blocks/{block_id}", {"value": value})
        return time.perf_counter() - start

    @property
    def _root(self) -> str:
        return self._url.removesuffix("agents/")


async def measure_memory(bench: Bench) -> None:
    """Everything about memory, in the plan's size."""
    amounts = SMALL if bench.plan is QUICK else FULL
    await _answer(bench, amounts)
    await _weigh(bench, amounts)
    await _search(bench, amounts)
    await _share(bench, amounts)


async def _answer(bench: Bench, amounts: Amounts) -> None:
    """The time to an answer with histories of several lengths, of which as much is in context."""
    lengths = (1 + IN_CONTEXT, *amounts.histories)
    async with bench.data_directory() as data:
        async with bench.server(data) as target:
            first = await target.api.create_agent(MODELS[0])
            agents = {length: await target.api.create_agent(MODELS[0]) for length in lengths}
        bench.say(f"memory: writing histories of {', '.join(f'{length:,}' for length in lengths)} messages")
        for length, agent in agents.items():
            lengthen(data, agent, length, IN_CONTEXT)
        bench.say("memory: answers of agents with these histories")
        async with bench.server(data) as target:
            await target.api.send(first)  # the host's first call to the model costs more
            spent: dict[int, list[float]] = {length: [] for length in lengths}
            for _ in range(WARM_UP + amounts.sends):
                # By turns, so that all see the same noise and their contexts grow alike.
                for length, agent in agents.items():
                    spent[length].append(1000 * await target.api.send(agent))
    fresh, *long = lengths
    usual = statistics.median(spent[fresh][WARM_UP:])
    for length in long:
        median = statistics.median(spent[length][WARM_UP:])
        bench.results.figures += [
            Figure(
                f"answer with {length:,} messages in the history, times a fresh agent's",
                median / usual,
                at_most=MOST_TIMES_FRESH,
                note=f"p50 {median:.1f} ms, fresh {usual:.1f} ms; {IN_CONTEXT} messages in context at first",
            ),
            Figure(
                f"first answer after a start, {length:,} messages in the history",
                spent[length][0],
                "ms",
                note=f"a fresh agent: {spent[fresh][0]:.1f} ms",
            ),
        ]


async def _weigh(bench: Bench, amounts: Amounts) -> None:
    """Memory of a host whose one agent has a short or a long history."""
    weights = []
    for length in amounts.weighed:
        bench.say(f"memory: a host with an agent of {length:,} messages")
        async with bench.data_directory() as data:
            async with bench.server(data, hosts=1) as target:
                agent = await target.api.create_agent(MODELS[0])
            lengthen(data, agent, length, IN_CONTEXT)
            async with bench.server(data, hosts=1) as target:
                await each(target.api.send, [agent] * amounts.sends, 1)
                used = memory(target.process)
        moment = f"one agent with {length:,} messages in its history"
        bench.results.memory_mib[moment] = {role: size / MIB for role, size in used.items()}
        weights.append(used["hosts"])
    short, long = weights
    bench.results.figures.append(
        Figure(
            "memory of a host, {1:,} messages to {0:,}".format(*amounts.weighed),
            long / short,
            at_most=MOST_MEMORY_RATIO,
            note=f"{long / MIB:.1f} MiB, {short / MIB:.1f} MiB (PSS)",
        )
    )


async def _search(bench: Bench, amounts: Amounts) -> None:
    bench.say(f"memory: searches of {amounts.messages:,} messages and {amounts.passages:,} passages")
    async with bench.data_directory() as directory:
        spent = await search(
            directory, messages=amounts.messages, passages=amounts.passages, searches=amounts.searches
        )
    for kind, milliseconds in spent.items():
        ordered = sorted(milliseconds)
        size = amounts.messages if kind == "conversation_search" else amounts.passages
        bench.results.figures.append(
            Figure(
                f"{kind}, {size:,} stored",
                quantile(ordered, 0.5),
                "ms",
                at_most=MOST_SEARCH_MS,
                note=f"p50; p99 {quantile(ordered, 0.99):.1f} ms; without a server",
            )
        )


async def _share(bench: Bench, amounts: Amounts) -> None:
    """Edits of a block that many agents have, with none, some and all of them awake."""
    agents: list[str] = []
    numbers = count()

    async def create(api: BlockApi, block: str, _: int) -> float:
        agents.append(await api.create_sharing(block))
        return 0.0

    async with bench.data_directory() as data:
        bench.say(f"memory: creating {amounts.sharing:,} agents with one block")
        async with bench.server(data) as target, BlockApi(target.process.url) as api:
            block = await api.create_block()
            await each(partial(create, api, block), range(amounts.sharing), CREATING)
        medians: dict[int, float] = {}
        async with (
            bench.server(data, idle_seconds=AWAKE_SECONDS) as target,
            BlockApi(target.process.url) as api,
        ):
            for _ in range(amounts.edits):  # the first ones cost more
                await api.edit_block(block, f"Edit {next(numbers)}.")
            for awake in (0, amounts.resident, amounts.sharing):
                bench.say(f"memory: edits of the block with {awake:,} of the agents awake")
                await each(api.send, agents[await api.awake() : awake], SENDING)
                edits = [
                    1000 * await api.edit_block(block, f"Edit {next(numbers)}.") for _ in range(amounts.edits)
                ]
                medians[await api.awake()] = statistics.median(edits)
    seen = ", ".join(f"{awake:,} awake {spent:.1f} ms" for awake, spent in medians.items())
    bench.results.figures.append(
        Figure(
            f"edit of a block of {amounts.sharing:,} agents, all asleep, times the fastest with some awake",
            medians[0] / min(spent for awake, spent in medians.items() if awake),
            at_most=MOST_EDIT_RATIO,
            note=f"p50: {seen}",
        )
    )
