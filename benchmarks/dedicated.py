"""``agents_per_actor=1`` beside the default: every agent in a Ray actor of its own."""

import statistics

from benchmarks.bench import MODELS, Bench, Target
from benchmarks.load import Summary, closed_loop, each, summarize
from benchmarks.messages import CREATING, Pool
from benchmarks.resources import memory
from benchmarks.results import Figure

MIB = 2**20


async def measure_dedicated(bench: Bench) -> None:
    """The same few agents in both shapes of a fleet."""
    for shape, settings in (("one actor each", {"agents_per_actor": 1}), ("packed", {})):
        async with bench.data_directory() as data, bench.server(data, **settings) as target:
            bench.results.dedicated[shape] = await _measure(bench, target, shape)


async def _measure(bench: Bench, target: Target, shape: str) -> dict[int, Summary]:
    plan, api, count = bench.plan, target.api, bench.plan.dedicated[-1]
    agents: list[str] = []

    async def create(_: int) -> float:
        agents.append(await api.create_agent(MODELS[0]))
        return 0.0

    await each(create, range(count), CREATING)
    before = sum(memory(target.process).values())
    bench.say(f"{shape}: first messages of {count} agents")
    first = await each(api.send, agents, 1)
    grown = sum(memory(target.process).values()) - before
    milliseconds = [1000 * latency for latency in first.latencies]
    bench.results.figures += [
        Figure(
            f"{shape}: first message of a new agent",
            statistics.median(milliseconds),
            "ms",
            note=f"p50 of {count}, one after the other; worst {max(milliseconds):.0f} ms",
        ),
        Figure(
            f"{shape}: memory an agent", grown / count / MIB, "MiB", note=f"{count} agents, first use of all"
        ),
    ]
    summaries = {}
    for clients in plan.dedicated:
        bench.say(f"{shape}: {clients} at once")
        pool = Pool(agents, api.send)
        samples = [
            await closed_loop(pool.turn, clients, warm_up=plan.warm_up, seconds=plan.seconds)
            for _ in range(plan.rounds)
        ]
        summaries[clients] = summarize(samples)
    return summaries
