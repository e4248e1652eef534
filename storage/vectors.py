"""The vectors of archives, in memory as matrices while they are searched."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from storage.database import Database, utc
from storage.errors import InvalidArgument
from storage.ids import uuid_of
from storage.queries import PassageSearch
from storage.sql import statements

_SQL = statements("passage")
_NUMBER_BYTES = 4


@dataclass(slots=True)
class Matrix:
    """The vectors of one archive, up to a certain entry of the log. It is never changed, only replaced."""

    lsn: int
    ids: list[UUID]
    moments: NDArray[np.datetime64]
    tags: list[frozenset[str]]
    rows: NDArray[np.float32]
    """One row for each passage, of length 1."""

    @property
    def size(self) -> int:
        return self.rows.nbytes + 200 * len(self.ids)


class Vectors:
    """Finds the nearest passages of an archive. The matrices used last stay in memory.

    Args:
        limit: bytes that may stay in memory.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._lock = threading.Lock()
        self._matrices: OrderedDict[UUID, Matrix] = OrderedDict()
        self._forgotten = 0
        self.bytes = 0

    def forget(self, archives: Iterable[UUID]) -> None:
        """Drop the matrices of archives that have lost passages."""
        with self._lock:
            self._forgotten += 1
            for archive_id in archives:
                self._drop(archive_id)

    def nearest(self, search: PassageSearch) -> dict[UUID, float]:
        """The passages that are nearest to the search's vector, with the cosines, best first.

        Raises:
            InvalidArgument: the archive's vectors have another size.
        """
        assert search.archive_id
        assert search.vector
        matrix = self._matrix(uuid_of(search.archive_id))
        if not matrix.ids:
            return {}
        wanted = np.frombuffer(search.vector, np.float32)
        if len(wanted) != matrix.rows.shape[1]:
            raise InvalidArgument(
                f"The passages of archive {search.archive_id} have vectors of {matrix.rows.shape[1]} "
                f"numbers, and the query has {len(wanted)}. Use the embedding model they were made with."
            )
        scores = matrix.rows @ _normal(wanted)
        keep = np.flatnonzero(_matching(matrix, search))
        best = keep[np.argsort(-scores[keep], kind="stable")[: search.limit]]
        return {matrix.ids[index]: float(scores[index]) for index in best}

    def _matrix(self, archive_id: UUID) -> Matrix:
        with self._lock:
            known, forgotten = self._matrices.get(archive_id), self._forgotten
        new = self._database.rows(_SQL["vectors"], {"id": archive_id, "lsn": known.lsn if known else -1})
        matrix = _extended(known, new)
        with self._lock:
            # What was deleted while the rows were read must not come back.
            if forgotten == self._forgotten:
                self._keep(archive_id, matrix)
        return matrix

    def _keep(self, archive_id: UUID, matrix: Matrix) -> None:
        self._drop(archive_id)
        if matrix.size > self._limit:
            return
        self._matrices[archive_id] = matrix
        self.bytes += matrix.size
        while self.bytes > self._limit:
            self._drop(next(iter(self._matrices)))

    def _drop(self, archive_id: UUID) -> None:
        dropped = self._matrices.pop(archive_id, None)
        self.bytes -= dropped.size if dropped else 0


def _extended(known: Matrix | None, rows: list[tuple[Any, ...]]) -> Matrix:
    """The matrix with further rows: id, number of the log entry, time, tags, vector."""
    if known and not rows:
        return known
    known = known or Matrix(-1, [], np.empty(0, "datetime64[us]"), [], np.empty((0, 0), np.float32))
    if not rows:
        return known
    width = len(rows[0][4]) // _NUMBER_BYTES
    fresh = np.frombuffer(b"".join(row[4] for row in rows), np.float32).reshape(len(rows), width)
    fresh = _normal(fresh)
    moments = np.array([row[2] for row in rows], "datetime64[us]")
    return Matrix(
        lsn=max(row[1] for row in rows),
        ids=[*known.ids, *(row[0] for row in rows)],
        moments=np.concatenate([known.moments, moments]),
        tags=[*known.tags, *(frozenset(row[3]) for row in rows)],
        rows=np.concatenate([known.rows, fresh]) if known.ids else fresh,
    )


def _normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    normal: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return normal


def _matching(matrix: Matrix, search: PassageSearch) -> NDArray[np.bool_]:
    keep = np.ones(len(matrix.ids), bool)
    if search.start:
        keep &= matrix.moments >= _moment(search.start)
    if search.end:
        keep &= matrix.moments <= _moment(search.end)
    if wanted := frozenset(search.tags):
        fits = wanted.issubset if search.match_all_tags else lambda tags: not wanted.isdisjoint(tags)
        keep &= np.fromiter((fits(tags) for tags in matrix.tags), bool, len(matrix.tags))
    return keep


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(utc(moment), "us")
