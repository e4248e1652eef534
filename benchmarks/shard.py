"""How fast one shard commits, activates agents and opens again.

    python -m benchmarks.shard --agents 1000000

Prints a Markdown table and saves the figures under ``benchmarks/results/``.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections import deque
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from storage.commits import BlockWrite, Committed, Delta, Entry, State
from storage.ids import SLOTS, new_id
from storage.records import Agent, Block, LlmConfig, Message, Run, Step, now
from storage.shard import Shard

RESULTS = Path(__file__).parent / "results"
LLM = LlmConfig(
    model="m", model_endpoint_type="openai", context_window=128_000, handle="openai/m", provider_name="openai"
)
WORDS = [f"{random.Random(seed).randrange(36**6):x}" for seed in range(2000)]


def text(size: int) -> str:
    """Words of about ``size`` characters, which compress as text does."""
    return " ".join(random.choices(WORDS, k=size // 6))


def creation() -> Entry:
    """A new agent with a system message and two blocks."""
    agent_id = new_id("agent")
    blocks = [
        Block(id=new_id("block", agent_id), label=label, value=text(200), created_at=now(), updated_at=now())
        for label in ("human", "persona")
    ]
    agent = Agent(
        id=agent_id,
        name=agent_id[:14],
        system=text(1000),
        llm_config=LLM,
        block_ids=[block.id for block in blocks],
        created_at=now(),
        updated_at=now(),
    )
    system = Message(id=new_id("message", agent_id), role="system", created_at=now(), content=text(1500))
    state = State(agent=agent, context=[system], history=1)
    writes = [BlockWrite(block, None) for block in blocks]
    return Entry("create", agent_id, 0, 0, state.pack(), blocks=writes)


def checkpoint(agent_id: str) -> bytes:
    """What one step commits: a question, an answer, the step and its run."""
    run = Run(id=new_id("run", agent_id), agent_id=agent_id, status="completed", created_at=now())
    step = Step(
        id=new_id("step", agent_id),
        run_id=run.id,
        agent_id=agent_id,
        created_at=now(),
        model="m",
        model_handle="openai/m",
    )
    messages = [
        Message(
            id=new_id("message", agent_id),
            role=role,
            created_at=now(),
            content=text(300),
            run_id=run.id,
            step_id=step.id,
        )
        for role in ("user", "assistant")
    ]
    # A context that is cut down each time keeps the states at one size.
    context = [message.id for message in messages]
    changes = {"last_run_completion": now().isoformat(), "last_stop_reason": "end_turn"}
    return Delta(messages=messages, context=context, run=run, step=step, agent=changes).pack()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def fill(shard: Shard, agents: int) -> tuple[list[str], float]:
    """Create agents; their ids, and agents a second."""
    start = time.perf_counter()
    waiting: deque[tuple[str, Future[Committed]]] = deque()
    ids: list[str] = []
    for _ in range(agents):
        entry = creation()
        waiting.append((entry.stream, shard.commit([entry])[0]))
        if len(waiting) == 512:
            agent_id, future = waiting.popleft()
            future.result()
            ids.append(agent_id)
    for agent_id, future in waiting:
        future.result()
        ids.append(agent_id)
    return ids, agents / (time.perf_counter() - start)


def commit(shard: Shard, ids: list[str], epoch: int, batch: int, seconds: float) -> dict[str, float]:
    """Keep ``batch`` commits of as many agents in flight for some seconds."""
    agents = random.sample(ids, batch)
    # Making deltas costs more than committing them, so that is done before, and they are used again.
    payloads = {agent_id: checkpoint(agent_id) for agent_id in agents}
    seqs = {agent_id: shard.load(agent_id).seq for agent_id in agents}
    latencies: list[float] = []
    begin = time.perf_counter()
    while (start := time.perf_counter()) - begin < seconds:
        entries = []
        for agent_id in agents:
            seqs[agent_id] += 1
            entries.append(Entry("step", agent_id, seqs[agent_id], epoch, payloads[agent_id]))
        for future in shard.commit(entries):
            future.result()
            latencies.append(time.perf_counter() - start)
    spent = time.perf_counter() - begin
    return {
        "commits_per_second": len(latencies) / spent,
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
    }


def activate(shard: Shard, ids: list[str], count: int) -> dict[str, float]:
    """Load agents that nobody has touched."""
    latencies = []
    for agent_id in random.sample(ids, min(count, len(ids))):
        start = time.perf_counter()
        shard.load(agent_id)
        latencies.append(time.perf_counter() - start)
    return {"p50_ms": percentile(latencies, 0.5), "p99_ms": percentile(latencies, 0.99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--agents", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5, help="for each number of commits in flight")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128, 512])
    parser.add_argument("--loads", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to put the store; a temporary folder by default")
    options = parser.parse_args()
    figures: dict[str, object] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}",
        "agents": options.agents,
        "seconds": options.seconds,
    }
    rows: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "0.duckdb")
        shard = Shard.open(path, index=0, shards=1)
        ids, rate = fill(shard, options.agents)
        figures["creations_per_second"] = rate
        rows.append(("create an agent, 512 in flight", f"{rate:,.0f}", "", ""))
        epoch = shard.claim(list(range(SLOTS)), "benchmark")
        for batch in options.batches:
            result = commit(shard, ids, epoch, min(batch, len(ids)), options.seconds)
            figures[f"commit_{batch}"] = result
            rate, p50, p99 = result.values()
            rows.append((f"commit, {batch} in flight", f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}"))
        figures["last_checkpoint_ms"] = shard.stats()["last_checkpoint_ms"]
        shard.close()
        opened = []
        for _ in range(3):
            start = time.perf_counter()
            shard = Shard.open(path, index=0, shards=1)
            opened.append((time.perf_counter() - start) * 1000)
            shard.close()
        figures["open_ms"] = statistics.median(opened)
        rows.append(("open again", "", f"{figures['open_ms']:.0f}", ""))
        shard = Shard.open(path, index=0, shards=1)
        figures["load"] = activate(shard, ids, options.loads)
        p50, p99 = figures["load"].values()
        rows.append((f"load one of {options.agents:,} agents", "", f"{p50:.1f}", f"{p99:.1f}"))
        figures["database_bytes"] = shard.stats()["database_bytes"]
        shard.close()
    print(f"{figures['machine']}; {options.agents:,} agents, {figures['database_bytes'] / 1e6:,.0f} MB\n")
    print("| what | per second | p50 ms | p99 ms |\n|---|---:|---:|---:|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    RESULTS.mkdir(exist_ok=True)
    saved = RESULTS / "shard.json"
    saved.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nSaved to {saved}.")


if __name__ == "__main__":
    main()
