"""A shard: one part of the store, in one DuckDB file, with one writer.

Everything here is synchronous and thread-safe. What is committed goes into the log (``writer``),
whose entries are folded into the agents' states (``state``) and derived into the tables that are
listed and searched (``history``, ``listing``).
"""

from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import duckdb

from storage.commits import Committed, Entry, Loaded
from storage.database import Database
from storage.documents import Documents
from storage.errors import InvalidArgument, NotFound, StoreCorrupt
from storage.fence import Fence
from storage.history import History
from storage.ids import SLOTS, is_id, slot_of
from storage.listing import Listing
from storage.log import read_row
from storage.meaning import Meaning
from storage.migrations import migrate
from storage.passages import Passages
from storage.queries import (
    AgentKey,
    AgentQuery,
    BlockQuery,
    Contents,
    DocumentQuery,
    Hit,
    MessageQuery,
    MessageSearch,
    MessageVector,
    PassageHit,
    PassageQuery,
    PassageSearch,
    RunQuery,
    StepQuery,
    Unembedded,
    VersionQuery,
)
from storage.records import DOCUMENTS, Block, Document, Message, Passage, Run, Step
from storage.search import Search
from storage.sql import statements
from storage.state import States
from storage.vectors import Vectors
from storage.watermark import Watermark
from storage.writer import Item, Writer

_SQL = statements("log")
_META = statements("meta")
_MB = 1 << 20


class Shard:
    """An open shard. Made by :meth:`open`."""

    def __init__(
        self,
        database: Database,
        watermark: Watermark,
        *,
        index: int,
        shards: int,
        tail_mb: int,
        vectors_mb: int,
        checkpoint_mb: int,
    ) -> None:
        self._database = database
        self._watermark = watermark
        self._index = index
        self._shards = shards
        [(derived, folded)] = database.rows(_SQL["progress"])
        [(newest,)] = database.rows(_SQL["newest"])
        self._states = States(database, tail_mb * _MB)
        self._documents = Documents(database)
        self._vectors = Vectors(database, vectors_mb * _MB)
        self._passages = Passages(database, self._vectors)
        self._meaning = Meaning(database, self._vectors)
        self._history = History(database, derived, self._vectors)
        self._listing = Listing(database, index, shards)
        unfinished = database.rows(_SQL["unfinished"], {"derived": derived, "folded": folded})
        rows = [read_row(row) for row in unfinished]
        underived = [row for row in rows if row.lsn > derived]
        self._states.restore([row for row in rows if row.lsn > folded and row.of_agent])
        self._documents.committed(underived)
        self._history.committed(underived)
        self._search = Search(database, database.path.with_suffix(".search"), lambda: self._history.derived)
        fence = Fence(database, self._states, self._documents)
        self._writer = Writer(
            database,
            watermark=watermark,
            fence=fence,
            states=self._states,
            documents=self._documents,
            history=self._history,
            newest=newest,
            checkpoint_bytes=checkpoint_mb * _MB,
        )

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        index: int,
        shards: int,
        lock_wait: float = 0.0,
        repair: bool = False,
        memory_mb: int = 2048,
        tail_mb: int = 64,
        vectors_mb: int = 256,
        checkpoint_mb: int = 16,
    ) -> Self:
        """Open a shard; make it if it is new, upgrade it if it is old.

        Args:
            path: the database file, by convention ``*.duckdb``. Files beside it begin with its name, and the
                search index is in the directory ``*.search``.
            index: which shard it is, ``0 <= index < shards``.
            shards: number of shards of the store, fixed when it is created.
            lock_wait: seconds to wait for another process that still holds the shard.
            repair: accept what a damaged write-ahead log or a lost part of it leaves of the shard.
            memory_mb: memory of DuckDB's buffers.
            tail_mb: log entries kept in memory because they are not in a state row yet.
            vectors_mb: vectors of archives and histories that stay in memory once they have been searched.
            checkpoint_mb: size of the write-ahead log from which it is moved into the database.

        Raises:
            StoreLocked: another process, or another shard object, holds it.
            StoreCorrupt: a file is damaged, or acknowledged commits are missing.
            StoreTooNew: a newer version wrote it.
            StoreFull: the disk is full or cannot be written.
            StoreError: the file is another shard, or of a store with another number of shards.
        """
        with ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            watermark = Watermark(path, lock_wait)
            opened.callback(watermark.close)
            database = Database(path, memory_mb=memory_mb, lock_wait=lock_wait, repair=repair)
            opened.callback(database.close)
            try:
                migrate(database.writer, path.name, index, shards)
                _check_complete(database, watermark, repair)
                shard = cls(
                    database,
                    watermark,
                    index=index,
                    shards=shards,
                    tail_mb=tail_mb,
                    vectors_mb=vectors_mb,
                    checkpoint_mb=checkpoint_mb,
                )
            except duckdb.Error as error:
                raise database.meaning(error) from error
            opened.pop_all()
        return shard

    def close(self) -> None:
        """Write what is queued, then let go of the files."""
        self._writer.close()
        self._search.close()
        self._database.close()
        self._watermark.close()

    def commit(self, entries: list[Entry]) -> list[Future[Committed]]:
        """Append entries to the log, in their order.

        Each entry succeeds or fails by itself.

        Returns:
            one future per entry. It resolves when the entry is on disk, or raises: StaleEpoch,
            SequenceGap, StaleBlock, Conflict (``create`` of an agent that exists), NotFound (no such
            agent), ArchiveGone, InvalidArgument, Busy (the queue is full), StoreFull, StoreError.
            Cancelling it withdraws an entry that is not being written yet.
        """
        futures: list[Future[Committed]] = []
        items = []
        for entry in entries:
            try:
                self._check(entry)
            except InvalidArgument as error:
                refused: Future[Committed] = Future()
                refused.set_exception(error)
                futures.append(refused)
            else:
                items.append(Item.of(entry))
                futures.append(items[-1].future)
        self._writer.submit(items)
        return futures

    def _check(self, entry: Entry) -> None:
        stream = {"blocks": "block", "documents": entry.stream.partition("-")[0]}.get(entry.kind, "agent")
        for expected, found in [
            (stream, entry.stream),
            *((_prefix(type(document)), document.id) for document, _ in entry.writes()),
            *(("archive", passage.archive_id) for passage in entry.passages),
            *(("passage", passage.id) for passage in entry.passages),
        ]:
            if not is_id(found, expected):
                raise InvalidArgument(f"{found!r} is not an id of the form {expected}-<uuid>.")
            if slot_of(found) % self._shards != self._index:
                raise InvalidArgument(f"{found} does not belong to shard {self._index} of {self._shards}.")

    def claim(self, keys: list[int] | list[str], owner: str) -> int:
        """Take over slots or agents: only commits with the returned epoch are accepted from now on.

        Args:
            keys: slots (``0 <= slot < SLOTS``), or ids of agents that are claimed one by one. If both
                an agent and its slot are claimed, the newer claim counts.
            owner: who claims, for people who look at the store.

        Returns:
            the new epoch, greater than any before, durable already.
        """
        for key in keys:
            if not (0 <= key < SLOTS if isinstance(key, int) else is_id(key, "agent")):
                raise InvalidArgument(f"{key!r} is neither a slot nor the id of an agent.")
        return self._writer.claim([str(key) for key in keys], owner)

    def load(self, agent_id: str) -> Loaded:
        """An agent as of its last commit.

        Raises:
            NotFound: it does not exist, or no more.
        """
        if not is_id(agent_id, "agent") or not (loaded := self.load_many([agent_id])):
            raise NotFound(f"No agent found with id {agent_id}.")
        return loaded[0]

    def load_many(self, agent_ids: list[str]) -> list[Loaded]:
        """These agents as of their last commits, in this order; those that do not exist are left out."""
        states = self._states.load([each for each in agent_ids if is_id(each, "agent")])
        blocks = self._documents.blocks(
            {each for _, state in states.values() for each in state.agent.block_ids}
        )
        return [
            Loaded(seq, state, [blocks[block] for block in state.agent.block_ids if block in blocks])
            for seq, state in (states[each] for each in agent_ids if each in states)
        ]

    def blocks(self, ids: list[str]) -> list[Block]:
        """The current versions of these blocks, in this order; those that do not exist are left out."""
        found = self._documents.blocks({each for each in ids if is_id(each, "block")})
        return [found[each] for each in ids if each in found]

    def documents(self, ids: list[str]) -> list[Document]:
        """The current versions of these documents, in this order; those that do not exist are left out."""
        found = self._documents.load({each for each in ids if is_id(each, each.partition("-")[0])})
        return [found[each] for each in ids if each in found]

    # Listings. They include everything that was acknowledged before the call.

    def find_agents(
        self, query: AgentQuery, after: AgentKey | None = None, before: AgentKey | None = None
    ) -> list[AgentKey]:
        """The agents of one page, in order.

        Args:
            after, before: what :meth:`agent_sort_key` says about the query's cursors. The shard that
                owns a cursor knows; without them, this shard is asked.
        """
        if after is None and query.after is not None:
            after = self.agent_sort_key(query.after, query.order_by)
        if before is None and query.before is not None:
            before = self.agent_sort_key(query.before, query.order_by)
        return self._current().agents(query, after, before)

    def agent_sort_key(self, agent_id: str, order_by: str) -> AgentKey | None:
        """Where an agent stands in listings of this order; None if it does not exist."""
        return self._current().agent_key(agent_id, order_by) if is_id(agent_id, "agent") else None

    def count_agents(self, query: AgentQuery) -> int:
        """How many agents match, on all pages."""
        return self._current().count_agents(query)

    def find_blocks(self, query: BlockQuery, attached: dict[str, int] | None = None) -> list[Block]:
        """The blocks of one page, in order.

        Args:
            attached: how many agents each block is attached to, the sums of all shards'
                :meth:`block_agents`; without it, the agents of this shard count.
        """
        return self._current().blocks(query, attached)

    def count_blocks(self, query: BlockQuery, attached: dict[str, int] | None = None) -> int:
        """How many blocks match, on all pages."""
        return self._current().count_blocks(query, attached)

    def block_agents(self) -> dict[str, int]:
        """How many of this shard's agents each block is attached to; blocks of no agent are missing."""
        return self._current().block_agents()

    def find_documents(self, query: DocumentQuery) -> list[Document]:
        """The documents of one page, in order."""
        return self._current().documents(query)

    def passages(self, query: PassageQuery) -> list[Passage]:
        """A page of passages, in order.

        Raises:
            NotFound: there is no passage under a cursor.
        """
        self._writer.catch_up()
        return self._passages.page(query)

    def load_passages(self, ids: list[str]) -> list[Passage]:
        """These passages without their vectors, in this order; those that do not exist are left out."""
        self._writer.catch_up()
        return self._passages.load(ids)

    def contents(self, archive_id: str) -> Contents:
        """What an archive has in it."""
        self._writer.catch_up()
        return self._passages.contents(archive_id)

    def search_passages(self, search: PassageSearch) -> list[PassageHit]:
        """The passages that match best, without their vectors, the best first.

        Raises:
            InvalidArgument: the archive's vectors have another size than the one searched for.
        """
        self._writer.catch_up()
        if search.vector:
            return self._passages.nearest(search)
        return self._passages.hits(self._search.passages(search))

    def block_versions(self, query: VersionQuery) -> list[Block]:
        """The versions of a block, also those that were replaced, in the order of their numbers."""
        return self._current().block_versions(query)

    def messages(self, query: MessageQuery) -> list[Message]:
        """A page of messages, oldest first.

        Raises:
            NotFound: there is no message under a cursor.
        """
        return self._current().messages(query)

    def search_messages(self, query: MessageSearch) -> list[Hit]:
        """The messages that match best, best first."""
        self._writer.catch_up()
        if query.vector:
            return self._meaning.nearest(query)
        return self._search.messages(query)

    # Vectors of messages, which are made outside of the shard, after the commits. So what it answers here
    # may lag behind.

    def embedding_models(self, default: str | None) -> dict[str, int]:
        """Handles of the embedding models of this shard's agents, with how many agents have each.

        Args:
            default: handle of the model for agents without their own.
        """
        return self._meaning.models(default)

    def unembedded(
        self, model: str, default: str | None, after: int, limit: int
    ) -> tuple[int, list[Unembedded]]:
        """Messages without a vector of their agent's model, oldest first, and the log entry up to which
        there are no others. Asked again from there once they have vectors, it answers the next ones.

        Args:
            model: handle of the model.
            default: as for :meth:`embedding_models`.
            after: the log entry from which on to look; -1 is from the beginning.
            limit: how many messages at most.
        """
        upto = self._history.derived
        if upto <= after:
            return after, []
        return self._meaning.missing(model, default, after, upto, limit)

    def write_message_vectors(self, model: str, vectors: list[MessageVector]) -> None:
        """Store what an embedding model made of messages, in place of what another one did; all or none.
        Returns when it is written. Commits go first."""
        self._writer.do(lambda: self._meaning.write(model, vectors))

    def message(self, message_id: str) -> Message:
        """Raises NotFound."""
        return self._current().message(message_id)

    def messages_of(self, agent_id: str, ids: list[str]) -> list[Message]:
        """Those of these messages that are in this agent's history, in no order."""
        return self._current().messages_of(agent_id, ids)

    def message_agent(self, message_id: str) -> str:
        """The agent that a message belongs to. Raises NotFound."""
        return self._current().message_agent(message_id)

    def runs(self, query: RunQuery) -> list[Run]:
        return self._current().runs(query)

    def run(self, run_id: str) -> Run:
        """Raises NotFound."""
        return self._current().run(run_id)

    def steps(self, query: StepQuery) -> list[Step]:
        return self._current().steps(query)

    def step(self, step_id: str) -> Step:
        """Raises NotFound."""
        return self._current().step(step_id)

    def tags(self) -> list[str]:
        """The tags of all agents and blocks, sorted, each once."""
        return self._current().tags()

    def _current(self) -> Listing:
        self._writer.catch_up()
        return self._listing

    def stats(self) -> dict[str, int | float]:
        """Figures for metrics: rows of each table, sizes in bytes, queues, and what the writer has done."""
        return {
            **{f"rows_{table}": rows for table, rows in self._database.rows(_META["count_rows"])},
            "database_bytes": self._database.path.stat().st_size,
            "log_bytes": self._database.wal_bytes(),
            "tail_bytes": self._states.tail_bytes,
            "unfolded_agents": self._states.unfolded,
            "underived_entries": self._history.pending,
            "unindexed_entries": self._search.pending,
            "unreadable_entries": self._history.unreadable,
            "vector_bytes": self._vectors.bytes,
            "newest_entry": self._writer.newest,
            "acknowledged_entry": self._watermark.saved,
            "queued": self._writer.queued,
            "commits": self._writer.commits,
            "groups": self._writer.groups,
            "checkpoints": self._writer.checkpoints,
            "last_checkpoint_ms": self._writer.checkpoint_ms,
        }


def _prefix(kind: type[Document]) -> str:
    return next(prefix for prefix, each in DOCUMENTS.items() if each is kind)


def _check_complete(database: Database, watermark: Watermark, repair: bool) -> None:
    """Compare what is in the log with what is known to have been acknowledged."""
    [(newest,)] = database.rows(_SQL["newest"])
    try:
        watermark.check(newest)
    except StoreCorrupt:
        if not repair:
            raise
        watermark.save(newest)
