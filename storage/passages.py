"""Passages: the texts in archives, as they are listed and found."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from storage.database import Database, utc
from storage.errors import NotFound
from storage.ids import is_id, uuid_of
from storage.queries import Contents, PassageFilter, PassageHit, PassageQuery, PassageSearch
from storage.records import Passage
from storage.sql import statements
from storage.vectors import Source, Vectors, Wanted

_SQL = statements("passage")


def passage_row(lsn: int, passage: Passage) -> tuple[Any, ...]:
    """A passage as a row of the table."""
    return (
        lsn,
        uuid_of(passage.id),
        uuid_of(passage.archive_id),
        utc(passage.created_at),
        passage.tags,
        passage.text,
        passage.model_dump_json(exclude_defaults=True, exclude={"text"}),
        passage.vector,
    )


class Passages:
    """Reads one shard's passages, as far as they are derived."""

    def __init__(self, database: Database, vectors: Vectors) -> None:
        self._database = database
        self._vectors = vectors

    def page(self, query: PassageQuery) -> list[Passage]:
        """A page of passages, in the order asked for.

        Raises:
            NotFound: there is no passage under a cursor.
        """
        after, before = (self._moment(cursor) for cursor in (query.after, query.before))
        above, below = (before, after) if query.descending else (after, before)
        backwards = before is not None and after is None
        down = query.descending != backwards
        values = _filter(query) | {
            "text": query.text,
            "above_at": above and above[0],
            "above_id": above and above[1],
            "below_at": below and below[0],
            "below_id": below and below[1],
            "limit": query.limit,
        }
        found = self._read("rows", [_SQL["matching"], _SQL["page"], _SQL["down" if down else "up"]], values)
        return found[::-1] if backwards else found

    def _moment(self, passage_id: str | None) -> tuple[datetime, UUID] | None:
        """Where a cursor stands in the listing."""
        if passage_id is None:
            return None
        known = is_id(passage_id, "passage")
        rows = self._database.rows(_SQL["moment"], {"id": uuid_of(passage_id)}) if known else []
        if not rows:
            raise NotFound(f"No passage found with id {passage_id}.")
        return rows[0][0], uuid_of(passage_id)

    def load(self, ids: list[str]) -> list[Passage]:
        """These passages without their vectors, in this order; those that do not exist are left out."""
        wanted = {"ids": [uuid_of(each) for each in ids if is_id(each, "passage")]}
        found = {
            passage.id: passage for passage in self._read("rows_without_vectors", [_SQL["by_id"]], wanted)
        }
        return [found[each] for each in ids if each in found]

    def contents(self, archive_id: str) -> Contents:
        """What an archive has in it."""
        values = {"id": uuid_of(archive_id)}
        [(count,)] = self._database.rows(_SQL["contents"], values)
        return Contents(count, tuple(tag for (tag,) in self._database.rows(_SQL["tags"], values)))

    def nearest(self, search: PassageSearch) -> list[PassageHit]:
        """The passages of one archive whose vectors are nearest to the search's.

        Raises:
            InvalidArgument: the archive's vectors have another size.
        """
        assert search.archive_id
        assert search.vector
        source = Source(_SQL["vectors"], uuid_of(search.archive_id))
        wanted = Wanted(
            search.vector, search.limit, search.tags, search.match_all_tags, search.start, search.end
        )
        return self.hits(self._vectors.nearest(source, wanted))

    def hits(self, scores: dict[UUID, float]) -> list[PassageHit]:
        """These passages with their scores, in this order; those that do not exist are left out."""
        found = self.load([f"passage-{each}" for each in scores])
        return [PassageHit(passage, scores[uuid_of(passage.id)]) for passage in found]

    def _read(self, columns: str, parts: list[str], values: dict[str, Any]) -> list[Passage]:
        rows = self._database.rows("\n".join([_SQL[columns], *parts]), values)
        return [_passage(text, body, vector) for text, body, vector in rows]


def _filter(wanted: PassageFilter) -> dict[str, Any]:
    return {
        "archive_id": wanted.archive_id and uuid_of(wanted.archive_id),
        "tags": wanted.tags,
        "match_all_tags": wanted.match_all_tags,
        "start": wanted.start and utc(wanted.start),
        "end": wanted.end and utc(wanted.end),
    }


def _passage(text: str, body: str, vector: bytes | None) -> Passage:
    passage = Passage.model_validate({**orjson.loads(body), "text": text})
    passage.vector = vector
    return passage
