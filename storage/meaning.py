"""Search in histories by meaning: the messages whose vectors are nearest to the query's.

The vectors are derived data that is made outside of the store, some time after the messages. A vector
counts only for the model that it was made with; when an agent gets another model, new ones replace it.
"""

import heapq
from uuid import UUID

import numpy as np

from storage.database import Database, utc
from storage.ids import uuid_of
from storage.queries import Hit, MessageSearch, MessageVector, Unembedded, ranked
from storage.records import Message
from storage.search import SEARCHED, said
from storage.sql import statements
from storage.vectors import NUMBER_BYTES, Source, Vectors, Wanted, normal

SCANNED = 20_000
"""Of all agents together, so many of the vectors made last are compared, in each shard."""
READ_AT_ONCE = 2_048
"""Vectors in memory at once while those of all agents are compared."""

_SQL = statements("meaning")


class Meaning:
    """The vectors of one shard's messages.

    Args:
        vectors: keeps those of the agents that were searched last.
    """

    def __init__(self, database: Database, vectors: Vectors) -> None:
        self._database = database
        self._vectors = vectors
        self._appender = database.writer.appender("message_vector")
        [(self._made,)] = database.rows(_SQL["made"])

    def models(self, default: str | None) -> dict[str, int]:
        """Handles of the embedding models, with how many agents have each.

        Args:
            default: handle of the model for agents without their own.
        """
        return dict(self._database.rows(_SQL["models"], {"default": default}))

    def missing(
        self, model: str, default: str | None, after: int, upto: int, limit: int
    ) -> tuple[int, list[Unembedded]]:
        """Messages without a vector of their agent's model, oldest first, and the log entry up to which
        there are no others. Asked again from there once they have vectors, it answers the next ones.

        Args:
            model: handle of the model.
            default: as for :meth:`models`.
            after: the log entry from which on to look.
            upto: the last log entry that is derived.
        """
        values = {"model": model, "default": default, "after": after, "upto": upto, "limit": limit}
        rows = self._database.rows(_SQL["missing"], {**values, "roles": list(SEARCHED)})
        complete = upto if len(rows) < limit else max(after, rows[-1][1] - 1)
        return complete, [
            Unembedded(f"message-{message_id}", said(Message.model_validate_json(body)))
            for message_id, _, body in rows
        ]

    def write(self, model: str, vectors: list[MessageVector]) -> None:
        """Store vectors of messages, in place of those of other models; all or none. Messages that are
        gone, and those that have one of this model already, are left out. Only for the writer's thread."""
        new = {uuid_of(each.message_id): each.vector for each in vectors}
        known = self._database.rows(_SQL["known"], {"ids": list(new)})
        rows = [
            (message_id, agent_id, role, created_at, self._made + 1, model, new[message_id])
            for message_id, agent_id, role, created_at, other in known
            if other != model
        ]
        if not rows:
            return
        replaced = {agent_id for _, agent_id, _, _, other in known if other not in (None, model)}
        try:
            with self._database.transaction() as connection:
                if replaced:
                    connection.execute(_SQL["drop"], {"ids": [row[0] for row in rows]})
                self._appender.append_rows(rows)
                self._appender.flush()
        except BaseException:
            self._appender.clear()
            raise
        self._made += 1
        self._vectors.forget(replaced)

    def nearest(self, search: MessageSearch) -> list[Hit]:
        """The messages that are nearest to the search's vector, best first."""
        assert search.vector
        assert search.model
        roles: list[str] = [role for role in search.roles if role in SEARCHED]
        if search.roles and not roles:
            return []
        if search.agent_id:
            size = len(search.vector)
            wanted = Wanted(search.vector, search.limit, roles, start=search.start, end=search.end)
            scores = self._vectors.nearest(
                Source(_SQL["vectors"], uuid_of(search.agent_id), search.model, size), wanted
            )
        else:
            scores = self._scan(search, roles)
        rows = self._database.rows(_SQL["messages"], {"ids": list(scores)})
        hits = (
            Hit(
                Message.model_validate_json(body),
                f"agent-{agent_id}",
                role,
                scores[message_id],
                vector_rank=1,
                mode="vector",
            )
            for message_id, agent_id, role, body in rows
        )
        return ranked(hits, search.limit)

    def _scan(self, search: MessageSearch, roles: list[str]) -> dict[UUID, float]:
        """The nearest of all agents' newest vectors, with the cosines."""
        assert search.vector
        wanted = normal(np.frombuffer(search.vector, np.float32))
        [(made,)] = self._database.rows(_SQL["newest"], {"model": search.model, "limit": SCANNED})
        values = {
            "made": made,
            "model": search.model,
            "size": len(search.vector),
            "roles": roles,
            "start": search.start and utc(search.start),
            "end": search.end and utc(search.end),
        }
        best: list[tuple[float, UUID]] = []
        with self._database.reader() as connection:
            found = connection.execute(_SQL["scan"], values)
            while rows := found.fetchmany(READ_AT_ONCE):
                width = len(search.vector) // NUMBER_BYTES
                matrix = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(-1, width)
                scores = normal(matrix) @ wanted
                scored = ((float(score), row[0]) for score, row in zip(scores, rows, strict=True))
                best = heapq.nlargest(search.limit, [*best, *scored])
        return {message_id: score for score, message_id in best}
