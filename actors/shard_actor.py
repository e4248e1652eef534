"""A shard of the store as a Ray actor: one process, one file, one writer."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from storage.commits import Committed, Entry
from storage.errors import GreenroomError, StoreError
from storage.shard import Shard

READERS = 4
LOCK_WAIT = 30.0
"""Seconds to wait for the file: processes of a killed server may hold it for a moment."""


class ShardActor:
    """Commits and reads for one shard.

    Args:
        path: the shard's file.
        index: its number, from 0.
        shards: how many there are.
    """

    def __init__(self, path: Path, index: int, shards: int) -> None:
        self._shard = Shard.open(path, index=index, shards=shards, lock_wait=LOCK_WAIT)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    async def commit(self, entries: list[Entry]) -> Sequence[Committed | BaseException]:
        """Commit each entry on its own; the results come in order, errors included."""
        futures = [asyncio.wrap_future(future) for future in self._shard.commit(entries)]
        return await asyncio.gather(*futures, return_exceptions=True)

    async def read(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """Call reading methods of the shard; the results come in order, errors included."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, calls)

    def _read(self, calls: list[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        results: list[Any] = []
        for method, arguments in calls:
            try:
                results.append(getattr(self._shard, method)(*arguments))
            except GreenroomError as error:
                results.append(error)
            except Exception as error:  # noqa: BLE001 - one call must not fail its neighbours
                results.append(StoreError(f"{method} failed: {error}"))
        return results

    async def process(self) -> int:
        """The process id, for memory figures and for tests that kill it."""
        return os.getpid()

    async def close(self) -> None:
        """Commit what is queued and close the file."""
        await asyncio.get_running_loop().run_in_executor(None, self._shard.close)
