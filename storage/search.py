"""Search in the histories and archives of a shard: ranked by words, with an index that trails the log.

A thread of its own brings the index up to the tables, some seconds behind the commits. What it does
not have yet is read from the tables and ranked beside it. So a search includes everything that was
acknowledged, and while a lost index is made anew it goes on, only less completely.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from storage.database import Database, utc
from storage.ids import uuid_of
from storage.queries import Hit, MessageSearch, PassageSearch, ranked
from storage.records import Message
from storage.search_index import EMPTY, IndexDamaged, Match, Scope, SearchIndex, Snapshot, Text, Words
from storage.sql import statements

MESSAGE = "message"
PASSAGE = "passage"
REASONING = "reasoning"
SEARCHED = ("user", "assistant", "summary")
"""Roles of messages. Tools mostly repeat what an earlier search has found."""
SPEAKING_TOOL = "send_message"
INTERVAL = 2.0
"""Seconds that texts gather before they are indexed together."""
PAUSE_AFTER_FAILURE = 30.0
READ_AT_ONCE = 256
"""Log entries whose texts are read together."""
BATCHES_READ_AT_ONCE = 16
"""Log entries whose passages are read together: each may have a thousand."""
COMMITTED_AT_ONCE = 20_000
"""Texts after which the index is committed although more are to come."""
SCANNED = 4_000
"""Of the messages that the index does not have yet, a search looks through so many of the newest."""

_SQL = statements("search")
_log = logging.getLogger(__name__)


class Search:
    """Searches one shard and keeps its index up."""

    def __init__(self, database: Database, directory: Path, derived: Callable[[], int]) -> None:
        """
        Args:
            directory: where the index is.
            derived: tells up to which log entry the tables are complete.

        Raises:
            IndexDamaged: the directory cannot be written.
        """
        self._database = database
        self._derived = derived
        self._index = SearchIndex(directory)
        if self._index.snapshot.lsn > derived():
            self._index.reset()  # It is of a store that has lost its end, or of another one.
        self._damaged = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"search of {directory.name}", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Log entries that the index does not have yet."""
        return self._derived() - max(self._index.snapshot.lsn, 0)

    def messages(self, query: MessageSearch) -> list[Hit]:
        """The messages that match best, best first; without words in the query, the newest.

        The tables must be complete.
        """
        upto = self._derived()
        if not query.query:
            roles = [role for role in query.roles if role != REASONING] if query.roles else list(SEARCHED)
            rows = self._read(EMPTY, upto, query, roles, query.limit)
            return [_hit(row, Match(0.0, row[0], row[2])) for row in rows]
        words = Words.of(query.query)
        if not words:
            return []
        matches = self._with_index(lambda snapshot: self._matches(snapshot, words, query, upto))
        best = sorted(matches, reverse=True)[: query.limit]
        rows = self._database.rows(_SQL["messages"], {"ids": [match.id for match in best]})
        by_id = {row[0]: row for row in rows}
        return ranked((_hit(by_id[each.id], each, 1) for each in best if each.id in by_id), query.limit)

    def passages(self, search: PassageSearch) -> dict[UUID, float]:
        """The passages that match best, with their scores, best first. The tables must be complete."""
        upto = self._derived()
        words = Words.of(search.query)
        if not words:
            return {}
        matches = self._with_index(lambda snapshot: self._passage_matches(snapshot, words, search, upto))
        return {match.id: match.score for match in sorted(matches, reverse=True)[: search.limit]}

    def _with_index(self, find: Callable[[Snapshot], list[Match]]) -> list[Match]:
        """What is found with the index, or without it if it is damaged."""
        try:
            return find(self._index.snapshot)
        except IndexDamaged as error:
            _log.error("%s", error)
            self._damaged = True
            return find(Snapshot.nothing())

    def _passage_matches(
        self, snapshot: Snapshot, words: Words, search: PassageSearch, upto: int
    ) -> list[Match]:
        gone = set(self._ids("deleted_passages", snapshot.lsn, upto))
        scope = Scope(
            PASSAGE,
            owner=None if search.archive_id is None else uuid_of(search.archive_id),
            tags=search.tags,
            match_all_tags=search.match_all_tags,
            start=search.start and utc(search.start),
            end=search.end and utc(search.end),
            without=self._ids("deleted_archives", snapshot.lsn, upto),
        )
        found = snapshot.find(words, scope, search.limit + len(gone))
        new = self._new_passages(snapshot.lsn, upto, search, SCANNED)
        return [*(match for match in found if match.id not in gone), *snapshot.rank(words, new)]

    def _new_passages(self, after: int, upto: int, search: PassageSearch, limit: int) -> list[Text]:
        """Passages that came with the log entries after one and up to another, newest first."""
        values = {
            "after": after,
            "upto": upto,
            "archive_id": search.archive_id and uuid_of(search.archive_id),
            "start": search.start and utc(search.start),
            "end": search.end and utc(search.end),
            "tags": search.tags,
            "match_all_tags": search.match_all_tags,
            "limit": limit,
        }
        return [
            Text(PASSAGE, passage_id, archive_id, "", created_at, text, tags)
            for passage_id, archive_id, created_at, text, tags in self._database.rows(
                _SQL["passages"], values
            )
        ]

    def _matches(self, snapshot: Snapshot, words: Words, query: MessageSearch, upto: int) -> list[Match]:
        new = self._read(snapshot.lsn, upto, query, SEARCHED, SCANNED)
        texts = [text for row in new for text in _texts(row) if not query.roles or text.role in query.roles]
        scope = Scope(
            MESSAGE,
            owner=None if query.agent_id is None else uuid_of(query.agent_id),
            roles=query.roles,
            start=query.start and utc(query.start),
            end=query.end and utc(query.end),
            without=self._ids("deleted_agents", snapshot.lsn, upto),
        )
        return [*snapshot.find(words, scope, query.limit), *snapshot.rank(words, texts)]

    def _read(
        self, after: int, upto: int, query: MessageSearch, roles: Iterable[str], limit: int
    ) -> list[tuple[Any, ...]]:
        """Messages that came with the log entries after one and up to another, newest first."""
        return self._database.rows(
            _SQL["texts"],
            {
                "after": after,
                "upto": upto,
                "roles": list(roles),
                "agent_id": query.agent_id and uuid_of(query.agent_id),
                "start": query.start and utc(query.start),
                "end": query.end and utc(query.end),
                "limit": limit,
            },
        )

    def _ids(self, statement: str, after: int, upto: int) -> list[UUID]:
        rows = self._database.rows(_SQL[statement], {"after": after, "upto": upto})
        return [each for (each,) in rows]

    def close(self) -> None:
        """Stop indexing. What the index does not have yet, it gets after the next start."""
        self._closing.set()
        self._thread.join()
        self._index.close()

    # From here on: the index's thread.

    def _run(self) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            try:
                if self._damaged:
                    self._index.reset()
                    self._damaged = False
                self._advance()
                pause = INTERVAL
            except IndexDamaged as error:
                _log.error("%s", error)
                self._damaged = True
                pause = PAUSE_AFTER_FAILURE

    def _advance(self) -> None:
        """Bring the index up to the tables."""
        after, upto = self._index.snapshot.lsn, self._derived()
        while after < upto and not self._closing.is_set():
            began = time.monotonic()
            step = min(after + READ_AT_ONCE, upto)
            rows = self._read(after, step, MessageSearch(), SEARCHED, 2**31)
            self._index.add(text for row in reversed(rows) for text in _texts(row))
            for first in range(after, step, BATCHES_READ_AT_ONCE):
                self._add_passages(first, min(first + BATCHES_READ_AT_ONCE, step))
            ended = ("deleted_agents", "deleted_archives")
            self._index.remove(
                ids=self._ids("deleted_passages", after, step),
                owners=[each for statement in ended for each in self._ids(statement, after, step)],
            )
            after = step
            if after == upto or self._index.uncommitted >= COMMITTED_AT_ONCE:
                self._index.commit(after)
            elif not self._closing.is_set():
                # As much time for everybody else: Python runs one thread at a time, and commits come first.
                self._closing.wait(time.monotonic() - began)

    def _add_passages(self, after: int, upto: int) -> None:
        passages = self._new_passages(after, upto, PassageSearch(), 2**31)
        # One whose acknowledgement got lost was written twice.
        self._index.remove(ids=[passage.id for passage in passages])
        self._index.add(passages)


def _texts(row: tuple[Any, ...]) -> Iterator[Text]:
    """What can be found of a message: what it says, and an assistant's reasoning by itself."""
    message_id, agent_id, role, created_at, body = row
    message = Message.model_validate_json(body)
    if text := said(message):
        yield Text(MESSAGE, message_id, agent_id, role, created_at, text)
    if message.reasoning:
        yield Text(MESSAGE, message_id, agent_id, REASONING, created_at, message.reasoning)


def said(message: Message) -> str:
    """What a message says, also through the speaking tool of older agent types."""
    return "\n".join(text for text in (message.text(), *_spoken(message)) if text)


def _spoken(message: Message) -> Iterator[str]:
    for call in message.tool_calls:
        if call.name == SPEAKING_TOOL:
            try:
                yield str(orjson.loads(call.arguments)["message"])
            except (ValueError, LookupError, TypeError):
                continue  # The call was refused for its arguments, so nothing was said.


def _hit(row: tuple[Any, ...], match: Match, rank: int = 0) -> Hit:
    _, agent_id, _, _, body = row
    message = Message.model_validate_json(body)
    return Hit(message, f"agent-{agent_id}", match.role, match.score, rank)
