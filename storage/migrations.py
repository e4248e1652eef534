"""Brings a shard's file to the schema of this version."""

import duckdb

from storage.errors import StoreError, StoreTooNew
from storage.sql import migrations, statements
from storage.versions import fill

_SQL = statements("meta")
_FILLED = {2: fill}
"""What fills the tables that a script makes, where SQL alone cannot read what they are made from."""


def migrate(connection: duckdb.DuckDBPyConnection, file: str, index: int, shards: int) -> None:
    """Create or upgrade the schema, and check that the file is the shard it is opened as.

    Args:
        file: name of the file, for error messages.
        index: which shard it has to be.
        shards: number of shards of the store.

    Raises:
        StoreTooNew: a newer version has written the file.
        StoreError: the file is another shard, or the number of shards differs.
    """
    scripts = migrations()
    version = 0
    if _value(connection, "has_schema"):
        version = _meta(connection, "schema_version")
    if version > len(scripts):
        raise StoreTooNew(
            f"{file} has schema version {version}, and this version of Greenroom knows up to "
            f"{len(scripts)}. Start the version that wrote it, or a newer one."
        )
    for number in range(version + 1, len(scripts) + 1):
        connection.execute("begin")
        connection.execute(scripts[number - 1])
        if number in _FILLED:
            _FILLED[number](connection)
        if number == 1:
            _set_meta(connection, "shard_index", index)
            _set_meta(connection, "shard_count", shards)
        _set_meta(connection, "schema_version", number)
        connection.execute("commit")
    if (count := _meta(connection, "shard_count")) != shards:
        raise StoreError(
            f"{file} belongs to a store of {count} shards, not {shards}. The number of shards is fixed "
            "when a store is created."
        )
    if (found := _meta(connection, "shard_index")) != index:
        raise StoreError(f"{file} is shard {found} of its store, not shard {index}; the files were mixed up.")


def _meta(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return _value(connection, "find_meta", {"name": name})


def _set_meta(connection: duckdb.DuckDBPyConnection, name: str, value: int) -> None:
    connection.execute(_SQL["drop_meta"], {"name": name})
    connection.execute(_SQL["add_meta"], {"name": name, "value": value})


def _value(
    connection: duckdb.DuckDBPyConnection, statement: str, values: dict[str, str] | None = None
) -> int:
    row = connection.execute(_SQL[statement], values).fetchone()
    assert row is not None
    return int(row[0])
