"""How fast an agent with a long history finds something in it, and what its index costs.

    python -m benchmarks.recall --messages 100000

Works on one shard, without a server. Prints a Markdown table and saves the figures under
``benchmarks/results/``.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from actors.tools.builtin import BUILTIN
from actors.tools.context import ToolContext
from actors.tools.execute import execute
from actors.tools.memory import Memory
from benchmarks.load import quantile
from storage.commits import Delta, Entry, State
from storage.ids import new_id
from storage.queries import Hit, MessageSearch
from storage.records import Agent, LlmConfig, Message, ToolCall, now
from storage.shard import Shard

if TYPE_CHECKING:
    from actors.archival import ArchivalMemory

RESULTS = Path(__file__).parent / "results"
LLM = LlmConfig(
    model="m", model_endpoint_type="openai", context_window=128_000, handle="openai/m", provider_name="openai"
)
VOCABULARY = [f"{random.Random(seed).randrange(36**5):x}" for seed in range(20_000)]
COMMONNESS = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]
WORDS_IN_MESSAGE = 50
MESSAGES_IN_COMMIT = 20
COMMITS_BEHIND = 100
"""An index that lacks no more than this is not being made anew any more."""


def words(count: int) -> str:
    """Words that are as unevenly common as those of a language."""
    return " ".join(random.choices(VOCABULARY, COMMONNESS, k=count))


class Writer:
    """Commits for one agent."""

    def __init__(self, shard: Shard) -> None:
        self.id = new_id("agent")
        self.shard = shard
        self._seq = 0
        self.said = 0
        """Messages."""
        times = {"created_at": now(), "updated_at": now()}
        self.agent = Agent(id=self.id, name="long", system="s", llm_config=LLM, **times)
        self._system = self._message("system", "s")
        state = State(agent=self.agent, context=[self._system], history=1)
        shard.commit([Entry("create", self.id, 0, 0, state.pack())])[0].result()
        self._epoch = shard.claim([self.id], "benchmark")

    def _message(self, role: Any, text: str) -> Message:
        return Message(id=new_id("message", self.id), role=role, created_at=now(), content=text)

    def say(self, count: int) -> float:
        """Commit so many messages in one entry; answers the seconds that it took."""
        roles = ["user", "assistant"] * (count // 2 + 1)
        messages = [self._message(roles[number], words(WORDS_IN_MESSAGE)) for number in range(count)]
        payload = Delta(messages=messages, context=[self._system.id, messages[-1].id]).pack()
        self._seq += 1
        self.said += count
        start = time.perf_counter()
        self.shard.commit([Entry("step", self.id, self._seq, self._epoch, payload)])[0].result()
        return time.perf_counter() - start


def wait_for_index(shard: Shard) -> float:
    """Seconds until the index has everything."""
    start = time.perf_counter()
    shard.search_messages(MessageSearch())  # It waits until the tables have everything.
    while shard.stats()["unindexed_entries"]:
        time.sleep(0.01)
    return time.perf_counter() - start


def ask(shard: Shard, writer: Writer, query: str) -> float:
    """Call ``conversation_search`` as an agent does; answers the seconds that it took."""

    async def search(wanted: MessageSearch) -> list[Hit]:
        return shard.search_messages(wanted)

    nothing = cast("ArchivalMemory", None)
    context = ToolContext(
        agent=writer.agent, memory=Memory([]), archival=nothing, search=search, tools=BUILTIN
    )
    call = ToolCall(id="c", name="conversation_search", arguments=json.dumps({"query": query}))
    start = time.perf_counter()
    answer = asyncio.run(execute(call, context))
    spent = time.perf_counter() - start
    assert answer.status == "success", answer.content
    return spent


class Report:
    """Figures by name, and as rows of a table."""

    def __init__(self, messages: int) -> None:
        self.figures: dict[str, Any] = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
            "messages": messages,
        }
        self._rows: list[str] = []

    def note(self, name: str, label: str, seconds: list[float]) -> None:
        ordered = sorted(seconds)
        found = {"p50_ms": 1000 * quantile(ordered, 0.5), "p99_ms": 1000 * quantile(ordered, 0.99)}
        self.figures[name] = found
        self._rows.append(f"| {label} | {found['p50_ms']:,.1f} | {found['p99_ms']:,.1f} |")

    def write(self) -> None:
        print(
            "{machine}; {messages:,} messages; index of {index_bytes:,} bytes, ".format(**self.figures),
            end="",
        )
        print("made from the tables at {indexed_per_second:,.0f} messages a second\n".format(**self.figures))
        print("\n".join(["| what | p50 ms | p99 ms |", "|---|---:|---:|", *self._rows]))
        RESULTS.mkdir(exist_ok=True)
        saved = RESULTS / "recall.json"
        saved.write_text(json.dumps(self.figures, indent=2) + "\n")
        print(f"\nSaved to {saved}.")


def measure_searches(shard: Shard, writer: Writer, count: int, report: Report) -> None:
    queries = [words(3) for _ in range(count)]
    report.note("search", "conversation_search, 3 words", [ask(shard, writer, each) for each in queries])
    after_commit = []
    for each in queries:
        writer.say(2)
        after_commit.append(ask(shard, writer, each))
    report.note("search_after_commit", "the same, right after a commit", after_commit)
    report.note("newest", "conversation_search without a query", [ask(shard, writer, "") for _ in queries])
    wait_for_index(shard)
    report.note("commit", "commit of 2 messages", [writer.say(2) for _ in queries])


def measure_indexing(path: Path, writer: Writer, report: Report) -> None:
    """Make the index anew, with commits meanwhile and without."""
    index = path.with_suffix(".search")
    report.figures["index_bytes"] = sum(file.stat().st_size for file in index.iterdir())
    shutil.rmtree(index)
    shard = writer.shard = Shard.open(path, index=0, shards=1)
    commits = []
    while shard.stats()["unindexed_entries"] > COMMITS_BEHIND:
        commits.append(writer.say(2))
    report.note("commit_while_indexing", "the same while a lost index is made anew", commits)
    shard.close()
    shutil.rmtree(index)
    shard = Shard.open(path, index=0, shards=1)
    report.figures["indexed_per_second"] = writer.said / wait_for_index(shard)
    shard.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where to put the store; a temporary folder by default")
    options = parser.parse_args()
    report = Report(options.messages)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "shard-0.duckdb")
        shard = Shard.open(path, index=0, shards=1)
        writer = Writer(shard)
        for _ in range(options.messages // MESSAGES_IN_COMMIT):
            writer.say(MESSAGES_IN_COMMIT)
        wait_for_index(shard)
        measure_searches(shard, writer, options.searches, report)
        shard.close()
        measure_indexing(path, writer, report)
    report.write()


if __name__ == "__main__":
    main()
