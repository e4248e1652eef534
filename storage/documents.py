"""Documents: their current versions, including those that are in the log but not in a table yet."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from storage.blocks import read_block
from storage.cache import Cache
from storage.database import Database
from storage.ids import uuid_of
from storage.log import DocumentVersion, LogRow
from storage.records import DOCUMENTS, Block, Document
from storage.sql import statements

VERSIONS = 65_536
"""Documents whose version number stays in memory."""
CACHE_BYTES = 64 << 20
DOCUMENT_BYTES = 2_000
"""What a document in memory takes besides its text."""
DELETED = -1
"""Stands for the version of a deleted document, because no write may follow it."""

_SQL = statements("document")


class Documents:
    """Versions and contents of one shard's documents. The writer's thread changes them; any may read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._recent: dict[str, tuple[int, DocumentVersion]] = {}  # with the number of the log entry
        self._cache: Cache[Document] = Cache(CACHE_BYTES)
        self._derivals = 0
        self._versions: OrderedDict[str, int | None] = OrderedDict()  # None: there is no such document

    def fetch_versions(self, ids: Iterable[str]) -> None:
        """Bring the version numbers of these documents into memory, in one query for each table."""
        missing = [document_id for document_id in ids if document_id not in self._versions]
        stored: dict[str, int] = {}
        for table, group in _by_table(missing).items():
            rows = self._database.rows(
                _SQL[f"{table}_versions"], {"ids": [uuid_of(document_id) for document_id in group]}
            )
            stored.update((found, DELETED if deleted else version) for found, version, deleted in rows)
        for document_id in missing:
            recent = self._recent.get(document_id)
            self._versions[document_id] = _current(recent[1]) if recent else stored.get(document_id)

    def version(self, document_id: str) -> int | None:
        """The version of a document that :meth:`fetch_versions` was called for, or ``DELETED``; None if
        there never was such a document."""
        self._versions.move_to_end(document_id)
        return self._versions[document_id]

    def committed(self, rows: list[LogRow]) -> None:
        """Take over what the log has got."""
        with self._lock:
            for row in rows:
                for version in (*row.blocks, *row.documents):
                    self._recent[version.id] = row.lsn, version
                    self._versions[version.id] = _current(version)
                    self._cache.drop(version.id)
        while len(self._versions) > VERSIONS:
            self._versions.popitem(last=False)

    def derived(self, rows: list[LogRow]) -> None:
        """Forget what the tables have got."""
        with self._lock:
            self._derivals += 1
            for row in rows:
                for version in (*row.blocks, *row.documents):
                    if version.id in self._recent and self._recent[version.id][0] <= row.lsn:
                        del self._recent[version.id]

    def load(self, ids: Iterable[str]) -> dict[str, Document]:
        """Those of these documents that exist."""
        ids = set(ids)
        with self._lock:
            recent = {each: self._recent[each][1] for each in ids if each in self._recent}
            derivals = self._derivals
        found = {each: version.document() for each, version in recent.items() if not version.deleted}
        for each in ids - recent.keys():
            if cached := self._cache.get(each):
                found[each] = cached
        for table, group in _by_table(ids - recent.keys() - found.keys()).items():
            rows = self._database.rows(_SQL[f"{table}s"], {"ids": [uuid_of(each) for each in group]})
            for row in rows:
                document = _read(table, row)
                found[document.id] = document
                self._keep(document, derivals, DOCUMENT_BYTES + len(row[0]) + len(row[1]))
        return found

    def _keep(self, document: Document, derivals: int, size: int) -> None:
        """Cache a document, unless its row may have been replaced while it was read."""
        with self._lock:
            if derivals == self._derivals and document.id not in self._recent:
                self._cache.put(document.id, document, size)

    def blocks(self, ids: Iterable[str]) -> dict[str, Block]:
        """Those of these blocks that exist."""
        return {each: found for each, found in self.load(ids).items() if isinstance(found, Block)}


def read_document(kind: str, body: str) -> Document:
    """A row of the table."""
    return DOCUMENTS[kind].model_validate_json(body)


def _read(table: str, row: tuple[str, str]) -> Document:
    return read_block(*row) if table == "block" else read_document(*row)


def _by_table(ids: Iterable[str]) -> dict[str, list[str]]:
    """Blocks have a table of their own, with columns for what they are listed by."""
    tables: dict[str, list[str]] = {}
    for each in ids:
        tables.setdefault("block" if each.startswith("block-") else "document", []).append(each)
    return tables


def _current(version: DocumentVersion) -> int:
    return DELETED if version.deleted else version.version
