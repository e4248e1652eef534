"""Agents: where each one's log stands, and its state.

The state of an agent is a row that trails its log, and the *tail*: the entries since that row,
in memory. Reading puts them together; folding moves the tail into the row.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

import orjson

from storage.cache import Cache
from storage.commits import Delta, Entry, State, apply
from storage.database import Database
from storage.errors import StoreCorrupt
from storage.ids import uuid_of
from storage.log import LogRow
from storage.sql import statements

TAIL_ENTRIES = 16
"""An agent with this many unfolded entries is folded soon."""
LAG = 65_536
"""An entry is folded before the log has grown by this many more, so that a restart reads little."""
FOLDED_AT_ONCE = 8
HEADS = 65_536
"""Agents whose head stays in memory."""
CACHE_BYTES = 64 << 20
"""State rows that stay in memory after they were read."""
REPEATS = 16
"""Commits per agent that are recognised when they are repeated."""

_SQL = statements("state") | statements("log")
_log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Head:
    """Where an agent's log stands."""

    seq: int = -1
    deleted: bool = False
    recent: tuple[tuple[int, int, str], ...] = ()
    """Sequence number, epoch and key of the newest commits that had a key."""

    def after(self, entry: LogRow | Entry) -> "Head":
        recent = self.recent
        if entry.key is not None:
            recent = (*recent[1 - REPEATS :], (entry.seq, entry.epoch, entry.key))
        return Head(entry.seq, entry.kind == "delete", recent)

    def repeated(self, entry: Entry) -> int | None:
        """The epoch under which this very entry was committed before, if it was."""
        if entry.key is None:
            return None
        return next((epoch for seq, epoch, key in self.recent if (seq, key) == (entry.seq, entry.key)), None)


class States:
    """Heads, tails and state rows of one shard. The writer's thread changes them; any may read."""

    def __init__(self, database: Database, tail_bytes: int) -> None:
        """
        Args:
            tail_bytes: unfolded payload that may stay in memory.
        """
        self._database = database
        self._limit = tail_bytes
        self._lock = threading.Lock()
        self._tails: dict[str, list[LogRow]] = {}  # the agent with the oldest entry comes first
        self._due: dict[str, None] = {}
        self._unreadable: set[str] = set()
        self._heads: OrderedDict[str, Head | None] = OrderedDict()  # None: there is no such agent
        self._newest = 0
        self._cache: Cache[tuple[int, bytes]] = Cache(CACHE_BYTES)
        self._folds = 0
        self._append_states = database.writer.appender("state")
        self._set_heads = database.writer.appender("head", action="upsert")
        self.tail_bytes = 0

    @property
    def unfolded(self) -> int:
        """Agents with a tail."""
        return len(self._tails)

    def fetch_heads(self, ids: Iterable[str]) -> None:
        """Bring the heads of these agents into memory, in one query."""
        missing = [agent_id for agent_id in ids if agent_id not in self._heads]
        if not missing:
            return
        rows = self._database.rows(_SQL["find_heads"], {"ids": [uuid_of(agent_id) for agent_id in missing]})
        folded = {f"agent-{uuid}": _head(seq, deleted, recent) for uuid, seq, deleted, recent in rows}
        for agent_id in missing:
            head = folded.get(agent_id)
            for row in self._tails.get(agent_id, ()):
                head = (head or Head()).after(row)
            self._heads[agent_id] = head

    def head(self, agent_id: str) -> Head | None:
        """The head of an agent that :meth:`fetch_heads` was called for; None if there is no such agent."""
        self._heads.move_to_end(agent_id)
        return self._heads[agent_id]

    def committed(self, rows: list[LogRow], heads: dict[str, Head]) -> None:
        """Take over what the log has got."""
        with self._lock:
            for row in rows:
                self._append(row)
        self._heads.update(heads)
        while len(self._heads) > HEADS:
            self._heads.popitem(last=False)

    def restore(self, rows: list[LogRow]) -> None:
        """Rebuild the tails from log rows, some of which may be folded already."""
        ids = [uuid_of(stream) for stream in {row.stream for row in rows}]
        folded = {
            f"agent-{uuid}": seq for uuid, seq in self._database.rows(_SQL["folded_seqs"], {"ids": ids})
        }
        for row in rows:
            if row.seq > folded.get(row.stream, -1):
                self._append(row)

    def _append(self, row: LogRow) -> None:
        tail = self._tails.setdefault(row.stream, [])
        tail.append(row)
        self.tail_bytes += len(row.payload)
        self._newest = row.lsn
        if len(tail) >= TAIL_ENTRIES and row.stream not in self._unreadable:
            self._due[row.stream] = None

    def load(self, ids: list[str]) -> dict[str, tuple[int, State]]:
        """Sequence number and state of each of these agents that exists.

        Raises:
            StoreCorrupt: an entry of one of them cannot be read.
        """
        with self._lock:
            tails = {agent_id: list(self._tails.get(agent_id, ())) for agent_id in ids}
            folds = self._folds
        bases = self._bases(ids, folds)
        loaded = {}
        for agent_id, tail in tails.items():
            seq, state = self._replay(agent_id, *bases.get(agent_id, (-1, None)), tail)
            if state is not None:
                loaded[agent_id] = seq, state
        return loaded

    def _bases(self, ids: Iterable[str], folds: int) -> dict[str, tuple[int, bytes | None]]:
        """The newest state rows of these agents. They are kept in memory, unless there have been more
        than so many folds by now: then one may have been replaced while it was read."""
        bases: dict[str, tuple[int, bytes | None]] = {}
        for agent_id in ids:
            if cached := self._cache.get(agent_id):
                bases[agent_id] = cached
        missing = [uuid_of(agent_id) for agent_id in ids if agent_id not in bases]
        rows = self._database.rows(_SQL["find_states"], {"ids": missing}) if missing else []
        for uuid, seq, _, body in rows:
            bases[f"agent-{uuid}"] = seq, body
            with self._lock:
                if body is not None and folds == self._folds:
                    self._cache.put(f"agent-{uuid}", (seq, body), len(body))
        return bases

    def _replay(
        self, agent_id: str, seq: int, body: bytes | None, tail: list[LogRow]
    ) -> tuple[int, State | None]:
        """A state row with the tail applied; the tail may begin before the row."""
        try:
            state = State.unpack(body) if body is not None else None
            for row in tail:
                if row.seq <= seq:
                    continue
                seq = row.seq
                if row.kind == "create":
                    state = State.unpack(row.payload)
                elif row.kind == "delete":
                    state = None
                else:
                    assert state is not None, "an agent's log begins with its creation"
                    apply(state, Delta.unpack(row.payload))
        except Exception as error:
            raise StoreCorrupt(
                f"Entry {seq} of {agent_id} in {self._database.path} cannot be read ({error})."
            ) from error
        return seq, state

    def fold(self, quiet: bool) -> bool:
        """Fold a few agents: those with a long tail, then those whose tail is the oldest.

        Args:
            quiet: nothing else is to be done, so tails need not be long or old.

        Returns:
            whether there was something to fold.
        """
        ids = self._next_to_fold(quiet)
        if not ids:
            return False
        found = self._database.rows(_SQL["find_states"], {"ids": [uuid_of(agent_id) for agent_id in ids]})
        bases = {f"agent-{uuid}": (seq, recent, body) for uuid, seq, recent, body in found}
        heads: dict[str, tuple[UUID, int, int]] = {}
        states: list[tuple[int, str, bytes | None]] = []
        for agent_id in ids:
            tail = self._tails[agent_id]
            seq, recent, body = bases.get(agent_id, (-1, "[]", None))
            try:
                seq, state = self._replay(agent_id, seq, body, tail)
            except StoreCorrupt as error:
                _log.error("%s", error)
                self._unreadable.add(agent_id)
                continue
            head = _head(seq, False, recent)
            for row in tail:
                head = head.after(row)
            heads[agent_id] = uuid_of(agent_id), seq, tail[-1].lsn
            states.append((tail[-1].lsn, orjson.dumps(head.recent).decode(), state.pack() if state else None))
        with self._database.transaction() as connection:
            connection.execute(_SQL["drop_states"], {"ids": [uuid_of(agent_id) for agent_id in heads]})
            self._append_states.append_rows(states)
            self._append_states.flush()
            self._set_heads.append_rows(heads.values())
            self._set_heads.flush()
            connection.execute(_SQL["set_folded"], {"lsn": self._oldest(without=heads) - 1})
        with self._lock:
            self._folds += 1
            for agent_id in heads:
                self._cache.drop(agent_id)
                self.tail_bytes -= sum(len(row.payload) for row in self._tails.pop(agent_id))
        for agent_id in ids:
            self._due.pop(agent_id, None)
        return True

    def _next_to_fold(self, quiet: bool) -> list[str]:
        ids = list(self._due)[:FOLDED_AT_ONCE]
        pressed = self.tail_bytes > self._limit or self._newest - self._oldest(self._unreadable) > LAG
        if quiet or pressed:
            for agent_id in self._tails:
                if len(ids) == FOLDED_AT_ONCE:
                    break
                if agent_id not in self._due and agent_id not in self._unreadable:
                    ids.append(agent_id)
        return ids

    def _oldest(self, without: Collection[str]) -> int:
        """Number of the oldest unfolded entry, or of the one that comes next."""
        return next(
            (tail[0].lsn for agent_id, tail in self._tails.items() if agent_id not in without),
            self._newest + 1,
        )


def _head(seq: int, deleted: bool, recent: str) -> Head:
    return Head(seq, deleted, tuple((seq, epoch, key) for seq, epoch, key in orjson.loads(recent)))
