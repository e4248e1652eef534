"""Search in the histories of a shard: ranked by words, with an index that trails the log.

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
from storage.records import Hit, Message, MessageSearch, ranked
from storage.search_index import EMPTY, IndexDamaged, Match, Scope, SearchIndex, Snapshot, Text, Words
from storage.sql import statements

MESSAGE = "message"
REASONING = "reasoning"
SEARCHED = ("user", "assistant", "summary")
"""Roles of messages. Tools mostly repeat what an earlier search has found."""
SPEAKING_TOOL = "send_message"
INTERVAL = 2.0
"""Seconds that texts gather before they are indexed together."""
PAUSE_AFTER_FAILURE = 30.0
READ_AT_ONCE = 256
"""Log entries whose texts are read together."""
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
        try:
            matches = self._matches(self._index.snapshot, words, query, upto)
        except IndexDamaged as error:
            _log.error("%s", error)
            self._damaged = True
            matches = self._matches(Snapshot.nothing(), words, query, upto)
        best = sorted(matches, reverse=True)[: query.limit]
        rows = self._database.rows(_SQL["messages"], {"ids": [match.id for match in best]})
        by_id = {row[0]: row for row in rows}
        return ranked((_hit(by_id[each.id], each, 1) for each in best if each.id in by_id), query.limit)

    def _matches(self, snapshot: Snapshot, words: Words, query: MessageSearch, upto: int) -> list[Match]:
        new = self._read(snapshot.lsn, upto, query, SEARCHED, SCANNED)
        texts = [text for row in new for text in _texts(row) if not query.roles or text.role in query.roles]
        scope = Scope(
            MESSAGE,
            owner=None if query.agent_id is None else uuid_of(query.agent_id),
            roles=query.roles,
            start=query.start and utc(query.start),
            end=query.end and utc(query.end),
            without=self._deleted(snapshot.lsn, upto),
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

    def _deleted(self, after: int, upto: int) -> list[UUID]:
        rows = self._database.rows(_SQL["deleted_agents"], {"after": after, "upto": upto})
        return [agent_id for (agent_id,) in rows]

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
            self._index.remove(owners=self._deleted(after, step))
            after = step
            if after == upto or self._index.uncommitted >= COMMITTED_AT_ONCE:
                self._index.commit(after)
            elif not self._closing.is_set():
                # As much time for everybody else: Python runs one thread at a time, and commits come first.
                self._closing.wait(time.monotonic() - began)


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
