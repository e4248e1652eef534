"""The file beside a database that says how far it has acknowledged.

A write-ahead log that lost its end opens without complaint and simply knows less. This file is
written apart from it, so such a loss shows. It also carries the lock on the shard, which the
operating system releases when the process dies.
"""

import fcntl
import os
import time
import zlib
from pathlib import Path

from storage.errors import StoreCorrupt, StoreLocked

_RETRY_SECONDS = 0.05


class Watermark:
    """An open and locked watermark file."""

    def __init__(self, database: Path, lock_wait: float) -> None:
        """
        Args:
            database: the database file it is for; it is made beside it if missing.
            lock_wait: seconds to wait for another process to let go.

        Raises:
            StoreLocked: another shard object has it, here or in another process.
        """
        self._database = database
        self.path = database.with_name(database.name + ".acknowledged")
        self.saved = 0
        """The number in the file."""
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + lock_wait
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(self._file)
                    raise StoreLocked(
                        f"{database} is in use by another process. Stop the other server on this data "
                        "directory, or choose another directory."
                    ) from None
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def check(self, newest: int) -> None:
        """Compare the number in the file with the last entry of the log.

        Raises:
            StoreCorrupt: the log has lost acknowledged entries, or the file is damaged.
        """
        text = os.pread(self._file, 64, 0)
        if not text:  # the shard is new
            return
        number, _, check = text.partition(b" ")
        if not number.isdigit() or check.rstrip() != _check(number):
            raise StoreCorrupt(
                f"{self.path} is damaged, so it cannot be told whether {self._database.name} is complete. "
                "Run `greenroom doctor --repair` to accept the shard as it is."
            )
        self.saved = int(number)
        if newest < self.saved:
            raise StoreCorrupt(
                f"{self._database} has lost commits: its log ends at entry {newest}, and entry {self.saved} "
                f"was acknowledged. Restore it and {self._database.name}.wal from a backup, or run "
                "`greenroom doctor --repair` to go on without them."
            )

    def save(self, lsn: int) -> None:
        """Note durably that everything up to ``lsn`` is acknowledged."""
        number = b"%020d" % lsn
        os.pwrite(self._file, number + b" " + _check(number) + b"\n", 0)
        os.fdatasync(self._file)
        self.saved = lsn

    def close(self) -> None:
        os.close(self._file)


def _check(number: bytes) -> bytes:
    return b"%08x" % zlib.crc32(number)
