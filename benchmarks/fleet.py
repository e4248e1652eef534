"""A large fleet: creating it, its memory, reading from it, and waking agents that are not in memory."""

import asyncio
import random
import statistics

from benchmarks.bench import MODELS, Bench, Target
from benchmarks.load import Sample, closed_loop, each, summarize
from benchmarks.resources import CpuMeter, memory
from benchmarks.results import Figure

CLIENTS = 8
SENDING = 64
PAGE = 50
TEAMS = 20
"""Tags, one an agent; even in the quick run each finds a full page."""
SETTLE_SECONDS = 3
AWAKE_SECONDS = 3600
"""Nobody falls asleep while the fleet grows."""
IDLE_SECONDS = 3
HIBERNATED_WITHIN = 120
MIB = 2**20
LEAST_CREATED, LEAST_RETRIEVED = 150, 300
MOST_MEMORY_GIB = 3
MOST_KB_AN_AGENT = 100
MOST_WAKE_MS = 40


async def measure_fleet(bench: Bench) -> None:
    """Everything about a fleet of the plan's size."""
    async with bench.data_directory() as data:
        async with bench.server(data, idle_seconds=AWAKE_SECONDS) as target:
            bench.results.figures.append(Figure("start of a new server", target.process.start_seconds, "s"))
            agents = await _grow(bench, target)
            await _read(bench, target, agents)
        bench.say("fleet: starting the server again")
        async with bench.server(data, idle_seconds=IDLE_SECONDS) as target:
            bench.results.figures.append(
                Figure(f"start with {len(agents):,} agents", target.process.start_seconds, "s")
            )
            await _wake(bench, target, agents)


async def _grow(bench: Bench, target: Target) -> list[str]:
    """Create the fleet in stages, send every agent a message, and see what memory that takes."""
    figures, agents = bench.results.figures, list[str]()
    creations: list[Sample] = []
    meter = CpuMeter(target.process, bench.endpoints[0])

    async def create(number: int) -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        agents.append(await target.api.create_agent(MODELS[0], [f"team-{number % TEAMS}"]))
        return loop.time() - start

    sizes = [(0, await _weigh(bench, target, "at start"))]
    for size in bench.plan.fleet:
        bench.say(f"fleet: creating agents up to {size:,}")
        there = len(agents)
        with meter:
            creations.append(await each(create, range(there, size), CLIENTS))
        bench.say(f"fleet: one message to each of {size - there:,}")
        await each(target.api.send, agents[there:], SENDING)
        awake = await target.api.awake()
        sizes.append((awake, await _weigh(bench, target, f"{size:,} agents, {awake:,} of them awake")))
    created = summarize(creations)
    bench.results.cpu_ms["create"] = meter.milliseconds(created.requests)
    rate = created.requests / sum(stage.seconds for stage in creations)
    (_, empty), (few, before), (many, after) = sizes[0], sizes[-2], sizes[-1]
    figures += [
        Figure(
            f"create, {CLIENTS} clients",
            rate,
            "agents/s",
            at_least=LEAST_CREATED,
            note=f"p50 {created.p50:.1f} ms, p99 {created.p99:.1f} ms",
        ),
        Figure(
            f"process tree with {len(agents):,} agents",
            after / 2**30,
            "GiB",
            at_most=MOST_MEMORY_GIB,
            note=f"{empty / MIB:.0f} MiB at start",
        ),
        Figure(
            "memory of a resident agent",
            (after - before) / (many - few) / 1000,
            "KB",
            at_most=MOST_KB_AN_AGENT,
            note=f"the tree's growth from {few:,} to {many:,} agents in memory",
        ),
    ]
    return agents


async def _weigh(bench: Bench, target: Target, moment: str) -> int:
    await asyncio.sleep(SETTLE_SECONDS)
    used = memory(target.process)
    bench.results.memory_mib[moment] = {role: size / MIB for role, size in used.items()}
    return sum(used.values())


async def _read(bench: Bench, target: Target, agents: list[str]) -> None:
    plan, choose = bench.plan, random.Random(1)

    async def retrieve() -> float:
        return await target.api.retrieve(choose.choice(agents))

    async def list_page() -> float:
        return await target.api.list_agents(f"team-{choose.randrange(TEAMS)}", PAGE)

    for name, work, least in (
        (f"retrieve, {CLIENTS} clients", retrieve, LEAST_RETRIEVED),
        (f"list {PAGE} by tag, {CLIENTS} clients", list_page, None),
    ):
        bench.say(f"fleet: {name}")
        with CpuMeter(target.process, bench.endpoints[0]) as meter:
            samples = [
                await closed_loop(work, CLIENTS, warm_up=plan.warm_up, seconds=plan.seconds)
                for _ in range(plan.rounds)
            ]
        found = summarize(samples)
        bench.results.cpu_ms[name] = meter.milliseconds(found.requests)
        note = f"p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms"
        if found.errors:
            note += f", errors: {found.errors}"
        bench.results.figures.append(Figure(name, found.per_second, "/s", at_least=least, note=note))


async def _wake(bench: Bench, target: Target, agents: list[str]) -> None:
    """The first message of an agent that is only in the store, next to its second one."""
    figures, count = bench.results.figures, bench.plan.wakes
    chosen = random.Random(2).sample(agents, count + CLIENTS)
    sleeping, others = chosen[:count], chosen[count:]
    await each(target.api.send, others, 1)  # the host's first calls to the model cost more
    for moment in ("after a restart", f"hibernated after {IDLE_SECONDS} s"):
        bench.say(f"fleet: waking {count} agents, {moment}")
        figures.append(await _wake_each(target, sleeping, moment))
        if moment == "after a restart":
            async with asyncio.timeout(HIBERNATED_WITHIN):
                while await target.api.awake():  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.2)


async def _wake_each(target: Target, agents: list[str], moment: str) -> Figure:
    asleep, awake = [], []
    for agent in agents:
        asleep.append(1000 * await target.api.send(agent))
        awake.append(1000 * await target.api.send(agent))
    first, second = statistics.median(asleep), statistics.median(awake)
    worst = statistics.quantiles(asleep, n=100)[98]
    return Figure(
        f"wake of an agent, {moment}",
        first - second,
        "ms",
        at_most=MOST_WAKE_MS,
        note=f"first message p50 {first:.1f} ms, p99 {worst:.1f} ms; second p50 {second:.1f} ms",
    )
