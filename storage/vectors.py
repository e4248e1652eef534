"""The vectors of archives and of histories, in memory as matrices while they are searched."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from storage.database import Database, utc
from storage.errors import InvalidArgument

NUMBER_BYTES = 4


@dataclass(slots=True, frozen=True)
class Source:
    """Where the vectors of one matrix are."""

    statement: str
    """Reads id, number of the write, time, labels and vector of those that came after a write."""
    owner: UUID
    """The archive or the agent."""
    model: str | None = None
    """Only vectors made with this model; without one, all of the owner's."""
    size: int | None = None
    """Bytes of a vector; goes with the model."""

    def values(self, after: int) -> dict[str, Any]:
        values: dict[str, Any] = {"owner": self.owner, "after": after}
        return values if self.model is None else {**values, "model": self.model, "size": self.size}


@dataclass(slots=True, frozen=True)
class Wanted:
    """What to look for, and among which."""

    vector: bytes
    """float32 numbers."""
    limit: int
    labels: Sequence[str] = ()
    """Only what has any of these labels, or all of them; without any, everything."""
    match_all: bool = False
    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class Matrix:
    """The vectors of one source, up to a certain write. It is never changed, only replaced."""

    upto: int
    ids: list[UUID]
    moments: NDArray[np.datetime64]
    labels: list[frozenset[str]]
    rows: NDArray[np.float32]
    """One row for each vector, of length 1."""

    @property
    def size(self) -> int:
        return self.rows.nbytes + 200 * len(self.ids)


class Vectors:
    """Finds the nearest vectors of a source. The matrices used last stay in memory.

    Args:
        limit: bytes that may stay in memory.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._lock = threading.Lock()
        self._matrices: OrderedDict[Source, Matrix] = OrderedDict()
        self._forgotten = 0
        self.bytes = 0

    def forget(self, owners: Iterable[UUID]) -> None:
        """Drop the matrices of owners that have lost vectors."""
        gone = set(owners)
        if not gone:
            return
        with self._lock:
            self._forgotten += 1
            for source in [source for source in self._matrices if source.owner in gone]:
                self._drop(source)

    def nearest(self, source: Source, wanted: Wanted) -> dict[UUID, float]:
        """Ids of the vectors that are nearest to the one wanted, with the cosines, best first.

        Raises:
            InvalidArgument: the source's vectors have another size.
        """
        matrix = self._matrix(source)
        if not matrix.ids:
            return {}
        vector = np.frombuffer(wanted.vector, np.float32)
        if len(vector) != matrix.rows.shape[1]:
            raise InvalidArgument(
                f"The passages of archive-{source.owner} have vectors of {matrix.rows.shape[1]} "
                f"numbers, and the query has {len(vector)}. Use the embedding model they were made with."
            )
        scores = matrix.rows @ normal(vector)
        keep = np.flatnonzero(_matching(matrix, wanted))
        best = keep[np.argsort(-scores[keep], kind="stable")[: wanted.limit]]
        return {matrix.ids[index]: float(scores[index]) for index in best}

    def _matrix(self, source: Source) -> Matrix:
        with self._lock:
            known, forgotten = self._matrices.get(source), self._forgotten
        new = self._database.rows(source.statement, source.values(known.upto if known else -1))
        matrix = _extended(known, new)
        with self._lock:
            # What was deleted while the rows were read must not come back.
            if forgotten == self._forgotten:
                self._keep(source, matrix)
        return matrix

    def _keep(self, source: Source, matrix: Matrix) -> None:
        self._drop(source)
        if matrix.size > self._limit:
            return
        self._matrices[source] = matrix
        self.bytes += matrix.size
        while self.bytes > self._limit:
            self._drop(next(iter(self._matrices)))

    def _drop(self, source: Source) -> None:
        dropped = self._matrices.pop(source, None)
        self.bytes -= dropped.size if dropped else 0


def _extended(known: Matrix | None, rows: list[tuple[Any, ...]]) -> Matrix:
    """The matrix with further rows: id, number of the write, time, labels, vector."""
    if known and not rows:
        return known
    known = known or Matrix(-1, [], np.empty(0, "datetime64[us]"), [], np.empty((0, 0), np.float32))
    if not rows:
        return known
    width = len(rows[0][4]) // NUMBER_BYTES
    fresh = np.frombuffer(b"".join(row[4] for row in rows), np.float32).reshape(len(rows), width)
    fresh = normal(fresh)
    moments = np.array([row[2] for row in rows], "datetime64[us]")
    return Matrix(
        upto=max(row[1] for row in rows),
        ids=[*known.ids, *(row[0] for row in rows)],
        moments=np.concatenate([known.moments, moments]),
        labels=[*known.labels, *(frozenset(row[3]) for row in rows)],
        rows=np.concatenate([known.rows, fresh]) if known.ids else fresh,
    )


def normal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of the same directions and of length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def _matching(matrix: Matrix, wanted: Wanted) -> NDArray[np.bool_]:
    keep = np.ones(len(matrix.ids), bool)
    if wanted.start:
        keep &= matrix.moments >= _moment(wanted.start)
    if wanted.end:
        keep &= matrix.moments <= _moment(wanted.end)
    if labels := frozenset(wanted.labels):
        fits = labels.issubset if wanted.match_all else lambda each: not labels.isdisjoint(each)
        keep &= np.fromiter((fits(each) for each in matrix.labels), bool, len(matrix.labels))
    return keep


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(utc(moment), "us")
