"""Searches of a long history and of a large archive, in a process of their own.

They work on a shard without a server, through the functions of the detailed benchmarks of each.
"""

import asyncio
import sys
import tempfile
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path

import orjson

from benchmarks import archival, recall
from storage.shard import Shard

ROOT = Path(__file__).parents[1]
VECTOR = 384
"""Numbers in a vector, as many as small embedding models give."""


async def search(temporary: Path, *, messages: int, passages: int, searches: int) -> dict[str, list[float]]:
    """Measure searches in a new process; answers the milliseconds of each, by what was searched how.

    Args:
        temporary: directory for the shards.
        messages: in the history.
        passages: in the archive.
        searches: of each kind.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.searches"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    order = {"messages": messages, "passages": passages, "searches": searches}
    try:
        answer, _ = await process.communicate(orjson.dumps({"temporary": f"{temporary}", **order}))
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise RuntimeError(f"The searches ended with code {process.returncode}.")
    spent: dict[str, list[float]] = orjson.loads(answer)
    return spent


def _search_history(directory: Path, messages: int, searches: int) -> dict[str, list[float]]:
    shard = Shard.open(directory / "recall.duckdb", index=0, shards=1)
    writer = recall.Writer(shard)
    for _ in range(messages // recall.MESSAGES_IN_COMMIT):
        writer.say(recall.MESSAGES_IN_COMMIT)
    recall.wait_for_index(shard)
    spent = [1000 * recall.ask(shard, writer, recall.words(3)) for _ in range(searches)]
    shard.close()
    return {"conversation_search": spent}


def _search_archive(directory: Path, passages: int, searches: int) -> dict[str, list[float]]:
    shard = Shard.open(directory / "archival.duckdb", index=0, shards=1)
    spent = archival.measure(shard, VECTOR, Namespace(passages=passages, searches=searches))
    shard.close()
    return {f"archival search {kind}": spent[kind] for kind in ("by words", "by meaning")}


def _work_off(*, temporary: str, messages: int, passages: int, searches: int) -> dict[str, list[float]]:
    with (
        tempfile.TemporaryDirectory(prefix="greenroom-searches-", dir=temporary) as directory,
        redirect_stdout(sys.stderr),
    ):
        history = _search_history(Path(directory), messages, searches)
        return history | _search_archive(Path(directory), passages, searches)


if __name__ == "__main__":
    found = _work_off(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(found))
