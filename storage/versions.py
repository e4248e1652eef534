"""Every version that a block ever had, derived from the log."""

from uuid import UUID

import duckdb
import zstandard

from storage.ids import uuid_of
from storage.log import BlockVersion, unpack_blocks
from storage.records import Block
from storage.sql import statements

_SQL = statements("versions")
_ENTRIES = 1_000
"""Log entries read at once."""


def version_row(version: BlockVersion) -> tuple[UUID, int, bytes]:
    """A version as a row of the table."""
    return uuid_of(version.id), version.version, zstandard.compress(version.body, 1)


def read_version(record: bytes) -> Block:
    return Block.model_validate_json(zstandard.decompress(record))


def fill(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill the table of a store that had none, from as much of its log as is derived."""
    after = 0
    while rows := connection.execute(_SQL["derived_blocks"], {"after": after, "limit": _ENTRIES}).fetchall():
        versions = [version_row(version) for _, blocks in rows for version in unpack_blocks(blocks)]
        connection.executemany(_SQL["add_version"], versions)
        after = rows[-1][0]
