"""The data directory: one server at a time, and the shards that lie in it."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from storage.errors import StoreError, StoreLocked

LOCK = "server.lock"
SHARDS = "shard-*.duckdb"


@dataclass(frozen=True, slots=True)
class Holder:
    """The server that has a data directory."""

    pid: int | None = None
    url: str | None = None

    def __str__(self) -> str:
        process = f"process {self.pid}" if self.pid else "another process"
        return f"{process}, serving on {self.url}" if self.url else process


class DirectoryLock:
    """Holds a data directory for this process, until it is released or the process ends.

    Raises:
        StoreLocked: another server has the directory.
        StoreError: it cannot be made or written.
    """

    def __init__(self, data: Path) -> None:
        self._file = _open(data)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(self._file)
            self._file.close()
            raise StoreLocked(
                f"{data} is in use by {holder}. Stop that server, or choose another directory with --data."
            ) from None

    def announce(self, url: str) -> None:
        """Leave word of who holds the directory."""
        self._write(json.dumps({"pid": os.getpid(), "url": url}))

    def release(self) -> None:
        # The file stays: were it removed, two servers could each lock a file of this name.
        self._write("")
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _write(self, text: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()


def holder_of(data: Path) -> Holder | None:
    """Who has a data directory at the moment, without taking it."""
    path = data / LOCK
    if not path.exists():
        return None
    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(file)
    return None


def shard_files(data: Path) -> list[Path]:
    """The store's files, in the order of the shards' numbers."""
    return sorted(data.glob(SHARDS), key=lambda path: int(path.stem.partition("-")[2]))


def _open(data: Path) -> IO[str]:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (data / LOCK).open("a+")
    except OSError as error:
        raise StoreError(f"The data directory {data} cannot be used: {error.strerror}.") from error


def _read(file: IO[str]) -> Holder:
    file.seek(0)
    try:
        return Holder(**json.loads(file.read()))
    except (ValueError, TypeError):
        return Holder()
