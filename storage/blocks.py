"""Blocks: their current versions, including those that are in the log but not in the table yet."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

import orjson

from storage.database import Database
from storage.ids import uuid_of
from storage.log import BlockVersion, LogRow
from storage.records import Block
from storage.sql import statements

VERSIONS = 65_536
"""Blocks whose version number stays in memory."""
DELETED = -1
"""Stands for the version of a deleted block, because no write may follow it."""

_SQL = statements("block")


class Blocks:
    """Versions and values of one shard's blocks. The writer's thread changes them; any may read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._recent: dict[str, tuple[int, BlockVersion]] = {}  # with the number of the log entry
        self._versions: OrderedDict[str, int | None] = OrderedDict()  # None: there is no such block

    def fetch_versions(self, ids: Iterable[str]) -> None:
        """Bring the version numbers of these blocks into memory, in one query."""
        missing = [block_id for block_id in ids if block_id not in self._versions]
        if not missing:
            return
        rows = self._database.rows(
            _SQL["find_versions"], {"ids": [uuid_of(block_id) for block_id in missing]}
        )
        stored = {f"block-{uuid}": DELETED if deleted else version for uuid, version, deleted in rows}
        for block_id in missing:
            recent = self._recent.get(block_id)
            self._versions[block_id] = _current(recent[1]) if recent else stored.get(block_id)

    def version(self, block_id: str) -> int | None:
        """The version of a block that :meth:`fetch_versions` was called for, or ``DELETED``; None if
        there never was such a block."""
        self._versions.move_to_end(block_id)
        return self._versions[block_id]

    def committed(self, rows: list[LogRow]) -> None:
        """Take over what the log has got."""
        with self._lock:
            for row in rows:
                for version in row.blocks:
                    self._recent[version.id] = row.lsn, version
                    self._versions[version.id] = _current(version)
        while len(self._versions) > VERSIONS:
            self._versions.popitem(last=False)

    def derived(self, rows: list[LogRow]) -> None:
        """Forget what the table has got."""
        with self._lock:
            for row in rows:
                for version in row.blocks:
                    if version.id in self._recent and self._recent[version.id][0] <= row.lsn:
                        del self._recent[version.id]

    def load(self, ids: Iterable[str]) -> dict[str, Block]:
        """Those of these blocks that exist."""
        ids = set(ids)
        with self._lock:
            recent = {block_id: self._recent[block_id][1] for block_id in ids if block_id in self._recent}
        blocks = {block_id: version.block() for block_id, version in recent.items() if not version.deleted}
        if rest := ids - recent.keys():
            rows = self._database.rows(_SQL["find_blocks"], {"ids": [uuid_of(block_id) for block_id in rest]})
            blocks.update((f"block-{uuid}", read_block(value, body)) for uuid, value, body in rows)
        return blocks


def _current(version: BlockVersion) -> int:
    return DELETED if version.deleted else version.version


def read_block(value: str, body: str) -> Block:
    """A row of the table."""
    return Block.model_validate({**orjson.loads(body), "value": value})
