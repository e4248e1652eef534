"""One DuckDB file: opening, settings, transactions, CHECKPOINT, and what its errors mean."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from storage.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked, StoreTooNew
from storage.sql import statements

_SQL = statements("meta")
_RETRY_SECONDS = 0.05
_DAMAGED = re.compile(r"byte position (\d+)")


class Database:
    """The open file: one connection that writes, and as many as needed that read."""

    def __init__(self, path: Path, *, memory_mb: int, lock_wait: float, repair: bool) -> None:
        """
        Args:
            path: the database file; made if missing.
            memory_mb: DuckDB's buffer memory.
            lock_wait: seconds to wait for another process to let go of the file.
            repair: cut a damaged write-ahead log off where the damage begins, keeping a copy.

        Raises:
            StoreLocked, StoreCorrupt, StoreTooNew, StoreFull, StoreError
        """
        self.path = path
        self.wal = path.with_name(path.name + ".wal")
        self.writer = self._connect(memory_mb, lock_wait, repair)
        self.writer.execute(_SQL["no_checkpoint_on_close"])
        self._readers: list[duckdb.DuckDBPyConnection] = []

    def _connect(self, memory_mb: int, lock_wait: float, repair: bool) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + lock_wait
        while True:
            try:
                return duckdb.connect(
                    str(self.path),
                    config={
                        "threads": 2,
                        "memory_limit": f"{memory_mb}MB",
                        # DuckDB 1.5 can read the file: a way back.
                        "storage_compatibility_version": "v1.5.0",
                        # Compressing long strings makes a CHECKPOINT stall commits for seconds.
                        "force_compression": "uncompressed",
                        # The shard itself chooses when to CHECKPOINT.
                        "checkpoint_threshold": "1TB",
                        "autoinstall_known_extensions": False,
                        "autoload_known_extensions": False,
                    },
                )
            except duckdb.Error as error:
                meaning = self.meaning(error)
                if isinstance(meaning, StoreLocked) and time.monotonic() < deadline:
                    time.sleep(_RETRY_SECONDS)
                elif repair and (damage := self._damage(error)) is not None:
                    self._cut_wal(damage)
                else:
                    raise meaning from error

    def meaning(self, error: duckdb.Error) -> StoreError:
        """The store's error for one of DuckDB's."""
        text = str(error)
        if "Could not set lock on file" in text:
            return StoreLocked(
                f"{self.path} is in use by another process. Stop the other server on this data directory, "
                "or choose another directory."
            )
        if (position := self._damage(error)) is not None:
            return StoreCorrupt(
                f"{self.wal} is damaged at byte {position}. Everything before that is intact. Copy the "
                "data directory, then run `greenroom doctor --repair` to cut the damaged end off."
            )
        if "newer version" in text or "storage version" in text:
            return StoreTooNew(
                f"{self.path} was written by a newer DuckDB than the {duckdb.__version__} installed here."
            )
        if re.search(r"checksum|corrupt|not a valid DuckDB", text, re.IGNORECASE):
            return StoreCorrupt(f"{self.path} is damaged ({_first_line(text)}). Restore it from a backup.")
        if isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.OutOfMemoryException):
            return StoreFull(
                f"{self.path} cannot be written ({_first_line(text)}). Make room on its disk, then start "
                "again; nothing acknowledged is lost."
            )
        return StoreError(f"{self.path}: {_first_line(text)}")

    def is_fatal(self, error: Exception) -> bool:
        """Whether the file cannot be trusted or written any more."""
        return isinstance(error, duckdb.Error) and isinstance(self.meaning(error), StoreFull | StoreCorrupt)

    def _damage(self, error: duckdb.Error) -> int | None:
        match = _DAMAGED.search(str(error)) if "WAL" in str(error) else None
        return int(match[1]) if match else None

    def _cut_wal(self, position: int) -> None:
        copy = self.wal.with_name(f"{self.wal.name}.damaged-{time.time_ns()}")
        copy.write_bytes(self.wal.read_bytes())
        with self.wal.open("r+b") as file:
            file.truncate(position)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Everything inside is written, durably, or nothing is. Only for the writer's thread."""
        self.writer.execute("begin")
        try:
            yield self.writer
            self.writer.execute("commit")
        except BaseException:
            with suppress(duckdb.Error):  # a failed commit has rolled back by itself
                self.writer.execute("rollback")
            raise

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own, which sees everything committed so far."""
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self.writer.cursor()
        try:
            yield connection
        except duckdb.Error as error:
            raise self.meaning(error) from error
        finally:
            self._readers.append(connection)

    def rows(self, sql: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query, on a reader."""
        with self.reader() as connection:
            return connection.execute(sql, values).fetchall()

    def wal_bytes(self) -> int:
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0

    def checkpoint(self, *, force: bool) -> bool:
        """Move the write-ahead log into the file, and tell whether that was possible.

        Args:
            force: wait for readers that still see rows deleted since; otherwise give up for now.
        """
        try:
            self.writer.execute(_SQL["force_checkpoint" if force else "checkpoint"])
        except duckdb.TransactionException:
            return False
        return True

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        self.writer.close()


def utc(moment: datetime) -> datetime:
    """The moment as the tables keep it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else "no details"
