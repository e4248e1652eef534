"""The one thread that writes: it commits entries in groups and does a shard's upkeep in between.

A group is whatever has queued up while the last one was being written, so groups grow with the
load and a lone entry never waits for company.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb

from storage.commits import Committed, Entry
from storage.database import Database, utc
from storage.documents import Documents
from storage.errors import Busy, GreenroomError, InvalidArgument, StoreError, StoreFull
from storage.fence import Draft, Fence
from storage.history import History
from storage.ids import uuid_of
from storage.log import BlockVersion, DocumentVersion, LogRow, pack_passages, pack_versions
from storage.state import States
from storage.watermark import Watermark

GROUP_ENTRIES = 256
GROUP_BYTES = 4 << 20
QUEUE_ENTRIES = 2_048
QUEUE_BYTES = 32 << 20
TICK_SECONDS = 0.05
LINGER_SECONDS = 0.1
"""Entries wait this long for others to be derived with."""
DERIVED_AT_ONCE = 64
BACKLOG = 1_024
"""More underived entries than this are derived even while commits wait, all that are too many at once."""
QUIET_SECONDS = 1.0
"""After this long without a commit, tails are folded that need not be."""
WATERMARK_SECONDS = 1.0
CHORE_SECONDS = 1.0
"""After this long, commits wait for something that is not urgent."""
CHECKPOINT_LATEST = 4
"""Times the size from which a CHECKPOINT is due: then it waits for readers, and commits wait for it."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Item:
    """An entry in the queue."""

    entry: Entry
    blocks: list[BlockVersion]
    documents: list[DocumentVersion]
    packed: tuple[bytes | None, bytes | None, bytes | None]
    """Blocks, documents and passages, as the log's row has them."""
    future: Future[Committed] = field(default_factory=Future)

    @classmethod
    def of(cls, entry: Entry) -> "Item":
        blocks = [BlockVersion.of(write.block) for write in entry.blocks]
        documents = [DocumentVersion.of(write.document) for write in entry.documents]
        packed = pack_versions(blocks), pack_versions(documents), pack_passages(entry.passages)
        return cls(entry, blocks, documents, packed)

    @property
    def size(self) -> int:
        vectors = sum(len(passage.vector or b"") + len(passage.text) for passage in self.entry.passages)
        versions = sum(len(version.body) for version in (*self.blocks, *self.documents))
        return len(self.entry.payload) + versions + vectors


@dataclass(slots=True)
class Claim:
    """A claim in the queue."""

    keys: list[str]
    owner: str
    future: Future[int] = field(default_factory=Future)


@dataclass(slots=True)
class Chore:
    """Something to write that is not urgent."""

    work: Callable[[], None]
    since: float
    future: Future[None] = field(default_factory=Future)


class Writer:
    """Queue, thread and acknowledgements of one shard."""

    def __init__(
        self,
        database: Database,
        *,
        watermark: Watermark,
        fence: Fence,
        states: States,
        documents: Documents,
        history: History,
        newest: int,
        checkpoint_bytes: int,
    ) -> None:
        """
        Args:
            newest: number of the last entry in the log.
            checkpoint_bytes: size of the write-ahead log from which a CHECKPOINT is due; while commits
                wait, twice that.
        """
        self._database = database
        self._watermark = watermark
        self._fence = fence
        self._states = states
        self._documents = documents
        self._history = history
        self._appender = database.writer.appender("step_log")
        self._checkpoint_bytes = checkpoint_bytes

        self._changed = threading.Condition()
        self._queue: deque[Item | Claim] = deque()
        self._chores: deque[Chore] = deque()
        self._queue_bytes = 0
        self._in_flight: list[Item | Claim] = []
        self._closing = False
        self._failure: StoreError | None = None
        self._wanted = 0  # somebody waits until everything up to here is derived

        self.newest = newest
        self.commits = 0
        self.groups = 0
        self.checkpoints = 0
        self.checkpoint_ms = 0.0
        self._last_commit = self._last_derived = self._last_saved = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"writer of {database.path.name}", daemon=True)
        self._thread.start()

    def _closed(self) -> StoreError:
        return self._failure or StoreError(f"{self._database.path} is closed.")

    @property
    def queued(self) -> int:
        return len(self._queue)

    def submit(self, items: list[Item]) -> None:
        """Queue entries; each item's future says what became of it."""
        refused: list[tuple[Item, GreenroomError]] = []
        with self._changed:
            for item in items:
                if self._failure is not None or self._closing:
                    refused.append((item, self._closed()))
                elif self._queue and (
                    len(self._queue) >= QUEUE_ENTRIES or self._queue_bytes + item.size > QUEUE_BYTES
                ):
                    refused.append((item, Busy("The store has too much to write; try again in a moment.")))
                else:
                    self._queue.append(item)
                    self._queue_bytes += item.size
            self._changed.notify_all()
        for item, error in refused:
            item.future.set_exception(error)

    def claim(self, keys: list[str], owner: str) -> int:
        """Take the claim in its turn: what was queued before is still committed under the old epoch."""
        claim = Claim(keys, owner)
        with self._changed:
            if self._failure is not None or self._closing:
                raise self._closed()
            self._queue.append(claim)
            self._changed.notify_all()
        return claim.future.result()

    def do(self, work: Callable[[], None]) -> None:
        """Have something written between the commits, and wait until it is."""
        chore = Chore(work, time.monotonic())
        with self._changed:
            if self._failure is not None or self._closing:
                raise self._closed()
            self._chores.append(chore)
            self._changed.notify_all()
        chore.future.result()

    def catch_up(self) -> None:
        """Wait until everything acknowledged so far is derived."""
        with self._changed:
            target = self.newest
            while self._history.derived < target:
                if self._failure is not None or self._closing:
                    raise self._closed()
                self._wanted = max(self._wanted, target)
                self._changed.notify_all()
                self._changed.wait()

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    # From here on: the writer's thread.

    def _run(self) -> None:
        try:
            timeout: float | None = 0
            while not self._closing or self._queue:
                work = self._take(timeout)
                if isinstance(work, Claim):
                    work.future.set_result(self._fence.claim(work.keys, work.owner))
                elif work:
                    self._commit(work)
                timeout = 0 if self._upkeep() else TICK_SECONDS if self._unfinished() else None
            while self._chores:
                self._do_chore()
            self._checkpoint(force=True)
            self._save_watermark()
        except BaseException as error:  # noqa: BLE001 - whoever waits has to be told, whatever it is
            self._break(error)

    def _take(self, timeout: float | None) -> list[Item] | Claim:
        """What to do next: a group of entries, which may be empty, or a claim."""
        group: list[Item] = []
        size = 0
        with self._changed:
            if not self._queue and not self._chores and not self._closing:
                self._changed.wait(timeout)
            while self._queue and len(group) < GROUP_ENTRIES and size < GROUP_BYTES:
                first = self._queue[0]
                if isinstance(first, Claim):
                    if not group:
                        self._queue.popleft()
                        self._in_flight = [first]
                        return first
                    break
                self._queue.popleft()
                size += first.size
                if first.future.set_running_or_notify_cancel():
                    group.append(first)
            self._queue_bytes -= size
            self._in_flight = list(group)
        return group

    def _commit(self, items: list[Item]) -> None:
        self._fence.prepare([item.entry for item in items])
        draft = Draft()
        rows: list[LogRow] = []
        packed: list[tuple[bytes | None, ...]] = []
        answers: list[tuple[Item, Committed]] = []
        for item in items:
            entry = item.entry
            try:
                epoch = self._fence.admit(entry, draft)
            except GreenroomError as error:
                item.future.set_exception(error)
                continue
            if epoch is None:
                rows.append(_row(self.newest + 1 + len(rows), item))
                packed.append(item.packed)
                epoch = entry.epoch
            answers.append((item, Committed(entry.seq, epoch)))
        try:
            self._append(rows, packed)
        except (duckdb.Error, TypeError, ValueError) as error:
            if self._database.is_fatal(error):
                raise
            self._appender.clear()
            self._isolate([item for item, _ in answers], error)
        else:
            self._acknowledge(rows, draft, answers)

    def _append(self, rows: list[LogRow], packed: list[tuple[bytes | None, ...]]) -> None:
        if not rows:
            return
        moment = utc(datetime.now(UTC))
        with self._database.transaction():
            self._appender.append_rows(
                (r.lsn, uuid_of(r.stream), r.seq, r.epoch, moment, r.kind, r.key, r.payload, *more)
                for r, more in zip(rows, packed, strict=True)
            )
            self._appender.flush()

    def _isolate(self, items: list[Item], error: Exception) -> None:
        """One of the items cannot be written. Its neighbours can."""
        if len(items) > 1:
            for item in items:
                self._commit([item])
        else:
            items[0].future.set_exception(InvalidArgument(f"The entry cannot be stored: {error}"))

    def _acknowledge(self, rows: list[LogRow], draft: Draft, answers: list[tuple[Item, Committed]]) -> None:
        self._states.committed([row for row in rows if row.of_agent], draft.heads)
        self._documents.committed(rows)
        self._history.committed(rows)
        self._last_commit = time.monotonic()
        self.newest += len(rows)
        self.commits += len(rows)
        self.groups += 1
        for item, committed in answers:
            item.future.set_result(committed)

    def _upkeep(self) -> bool:
        """Do one piece of what is due besides commits, if anything is."""
        moment = time.monotonic()
        busy = bool(self._queue)
        if self._checkpoint_now(busy):
            return True
        if self._derive_now(busy, moment):
            self._derive()
            return True
        if self._chores and (not busy or moment - self._chores[0].since > CHORE_SECONDS):
            self._do_chore()
            return True
        if self._states.fold(quiet=not busy and moment - self._last_commit > QUIET_SECONDS):
            return True
        if moment - self._last_saved > WATERMARK_SECONDS and self._watermark.saved < self.newest:
            self._save_watermark()
        return False

    def _checkpoint_now(self, busy: bool) -> bool:
        log_bytes = self._database.wal_bytes()
        if log_bytes > CHECKPOINT_LATEST * self._checkpoint_bytes:
            return self._checkpoint(force=True)
        return log_bytes > (1 + busy) * self._checkpoint_bytes and self._checkpoint(force=False)

    def _derive_now(self, busy: bool, moment: float) -> bool:
        pending = self._history.pending
        if not pending:
            return False
        if self._wanted > self._history.derived or pending > BACKLOG:
            return True
        return not busy and (pending >= DERIVED_AT_ONCE or moment - self._last_commit > LINGER_SECONDS)

    def _derive(self) -> None:
        count = max(DERIVED_AT_ONCE, self._history.pending - BACKLOG)
        self._documents.derived(self._history.derive(count))
        with self._changed:
            self._changed.notify_all()

    def _do_chore(self) -> None:
        chore = self._chores[0]
        try:
            chore.work()
        except (duckdb.Error, GreenroomError, TypeError, ValueError) as error:
            if self._database.is_fatal(error):
                raise
            chore.future.set_exception(StoreError(f"It cannot be stored: {error}"))
        else:
            chore.future.set_result(None)
        self._chores.popleft()

    def _unfinished(self) -> bool:
        return bool(self._history.pending or self._states.unfolded or self._watermark.saved < self.newest)

    def _checkpoint(self, *, force: bool) -> bool:
        start = time.monotonic()
        if not self._database.checkpoint(force=force):
            return False
        self.checkpoints += 1
        self.checkpoint_ms = (time.monotonic() - start) * 1000
        self._save_watermark()
        return True

    def _save_watermark(self) -> None:
        self._watermark.save(self.newest)
        self._last_saved = time.monotonic()

    def _break(self, error: BaseException) -> None:
        """Stop for good: nothing is acknowledged after something could not be written."""
        failure = StoreError(f"The writer of {self._database.path} has failed: {error!r}. Start again.")
        if isinstance(error, StoreError):
            failure = error
        elif isinstance(error, duckdb.Error):
            failure = self._database.meaning(error)
        elif isinstance(error, OSError):
            failure = StoreFull(f"{self._watermark.path} cannot be written ({error}). Make room on its disk.")
        _log.critical("shard stopped", exc_info=error)
        with self._changed:
            self._failure = failure
            stranded = [*self._in_flight, *self._queue, *self._chores]
            self._queue.clear()
            self._chores.clear()
            self._changed.notify_all()
        for one in stranded:
            if not one.future.done():
                one.future.set_exception(failure)


def _row(lsn: int, item: Item) -> LogRow:
    new = item.entry
    return LogRow(
        lsn,
        new.stream,
        new.seq,
        new.epoch,
        new.kind,
        new.key,
        new.payload,
        item.blocks,
        item.documents,
        new.passages,
    )
