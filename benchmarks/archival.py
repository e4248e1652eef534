"""How fast passages are stored in an archive and found there, by words and by meaning.

    python -m benchmarks.archival --passages 10000

Works on one shard, without a server and without a model: its vectors are random. Prints a Markdown table
and saves the figures under ``benchmarks/results/``.
"""

import argparse
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from benchmarks.load import quantile
from benchmarks.recall import words
from storage.commits import DocumentWrite, Entry
from storage.ids import new_id
from storage.queries import PassageSearch
from storage.records import Archive, Passage, now
from storage.shard import Shard

RESULTS = Path(__file__).parent / "results"
WORDS_IN_PASSAGE = 50
PASSAGES_IN_COMMIT = 500
TAGS = [f"tag-{number}" for number in range(20)]
RANDOM = np.random.default_rng(1)


def vector(size: int) -> bytes:
    return RANDOM.standard_normal(size, np.float32).tobytes()


def fill(shard: Shard, archive: Archive, count: int, size: int) -> float:
    """Store passages, batch by batch; passages a second."""
    shard.commit([Entry("documents", archive.id, 0, 0, documents=[DocumentWrite(archive, None)])])[0].result()
    spent = 0.0
    for first in range(0, count, PASSAGES_IN_COMMIT):
        batch = [passage(archive, size) for _ in range(min(PASSAGES_IN_COMMIT, count - first))]
        start = time.perf_counter()
        shard.commit([Entry("documents", archive.id, 0, 0, passages=batch)])[0].result()
        spent += time.perf_counter() - start
    return count / spent


def passage(archive: Archive, size: int) -> Passage:
    return Passage(
        id=new_id("passage", archive.id),
        archive_id=archive.id,
        text=words(WORDS_IN_PASSAGE),
        tags=random.sample(TAGS, 2),
        created_at=now(),
        vector=vector(size),
    )


def timed(times: int, work: Callable[[], object]) -> list[float]:
    """Milliseconds that each call took."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append((time.perf_counter() - start) * 1000)
    return spent


def measure(shard: Shard, size: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Searches of one archive whose vectors have so many numbers; milliseconds of each kind."""
    made = now()
    archive = Archive(id=new_id("archive"), name="benchmark", created_at=made, updated_at=made)
    rate = fill(shard, archive, options.passages, size)
    print(f"{options.passages:,} passages, vectors of {size}: {rate:,.0f} stored a second", flush=True)

    def by_words(*tags: str) -> None:
        shard.search_passages(PassageSearch(archive_id=archive.id, query=words(3), tags=[*tags]))

    def by_meaning(*tags: str) -> None:
        shard.search_passages(PassageSearch(archive_id=archive.id, vector=vector(size), tags=[*tags]))

    def insert_then_search() -> None:
        one = Entry("documents", archive.id, 0, 0, passages=[passage(archive, size)])
        shard.commit([one])[0].result()
        by_meaning()

    behind = timed(options.searches // 10, by_words)
    while shard.stats()["unindexed_entries"]:
        time.sleep(0.1)
    return {
        "by words, index behind": behind,
        "by words": timed(options.searches, by_words),
        "by words, with a tag": timed(options.searches, lambda: by_words(TAGS[0])),
        "by meaning, first": timed(1, by_meaning),
        "by meaning": timed(options.searches, by_meaning),
        "by meaning, with a tag": timed(options.searches, lambda: by_meaning(TAGS[0])),
        "insert, then by meaning": timed(options.searches // 10, insert_then_search),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=200, help="of each kind")
    parser.add_argument("--sizes", type=int, nargs="+", default=[384, 1536], help="numbers in a vector")
    parser.add_argument("--folder", type=Path, help="where to put the store; a temporary folder by default")
    options = parser.parse_args()
    figures: dict[str, object] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"DuckDB {duckdb.__version__}, numpy {np.__version__}",
        "passages": options.passages,
    }
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        shard = Shard.open(Path(folder, "0.duckdb"), index=0, shards=1)
        for size in options.sizes:
            for name, spent in measure(shard, size, options).items():
                p50, p99 = quantile(sorted(spent), 0.5), quantile(sorted(spent), 0.99)
                figures[f"{name}, {size}"] = {"p50_ms": p50, "p99_ms": p99}
                rows.append(f"| search {name} | {size} | {p50:.1f} | {p99:.1f} |")
        shard.close()
    print(f"\n{figures['machine']}; {options.passages:,} passages\n")
    print("| what | vector | p50 ms | p99 ms |\n|---|---:|---:|---:|")
    print("\n".join(rows))
    RESULTS.mkdir(exist_ok=True)
    saved = RESULTS / "archival.json"
    saved.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"\nSaved to {saved}.")


if __name__ == "__main__":
    main()
