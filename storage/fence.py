"""Who may write and what may follow what, decided in memory by the one writer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from storage.commits import Entry
from storage.database import Database, utc
from storage.documents import DELETED, Documents
from storage.errors import (
    ArchiveGone,
    Conflict,
    InvalidArgument,
    NotFound,
    SequenceGap,
    StaleBlock,
    StaleEpoch,
)
from storage.ids import slot_of
from storage.records import Document
from storage.sql import statements
from storage.state import Head, States

_SQL = statements("log")


@dataclass(slots=True)
class Draft:
    """What a group of entries changes once it is committed."""

    heads: dict[str, Head] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


class Fence:
    def __init__(self, database: Database, states: States, documents: Documents) -> None:
        self._database = database
        self._states = states
        self._documents = documents
        self._appender = database.writer.appender("claim")
        self._epochs: dict[str, int] = dict(database.rows(_SQL["claims"]))
        self._newest = max(self._epochs.values(), default=0)

    def claim(self, keys: list[str], owner: str) -> int:
        """Give slots or agents a new epoch, durably."""
        epoch = self._newest + 1
        moment = utc(datetime.now(UTC))
        with self._database.transaction() as connection:
            connection.execute(_SQL["drop_claims"], {"keys": keys})
            self._appender.append_rows((key, epoch, owner, moment) for key in keys)
            self._appender.flush()
        self._newest = epoch
        self._epochs.update(dict.fromkeys(keys, epoch))
        return epoch

    def epoch(self, agent_id: str) -> int:
        """The only epoch that may write for this agent."""
        return max(self._epochs.get(str(slot_of(agent_id)), 0), self._epochs.get(agent_id, 0))

    def prepare(self, entries: list[Entry]) -> None:
        """Fetch what :meth:`admit` has to know about these entries."""
        self._states.fetch_heads({entry.stream for entry in entries if _of_agent(entry)})
        written = {document.id for entry in entries for document, _ in entry.writes()}
        archives = {passage.archive_id for entry in entries for passage in entry.passages}
        self._documents.fetch_versions(written | archives)

    def admit(self, entry: Entry, draft: Draft) -> int | None:
        """Check an entry against what is committed and the draft, and add it to the draft.

        Returns:
            None for a new entry; for a repeated one, the epoch of the first time.

        Raises:
            Conflict, NotFound, StaleEpoch, SequenceGap, StaleBlock, ArchiveGone, InvalidArgument: it is
                refused.
        """
        if not _of_agent(entry):
            if self._repeats_documents(entry, draft):
                return entry.epoch
            draft.versions |= self._check_documents(entry, draft)
            return None
        head = draft.heads.get(entry.stream) or self._states.head(entry.stream)
        if head is not None and (epoch := head.repeated(entry)) is not None:
            return epoch
        if entry.kind == "create":
            if head is not None:
                raise Conflict(f"Agent {entry.stream} exists already or did once.")
        elif head is None or head.deleted:
            raise NotFound(f"No agent found with id {entry.stream}.")
        elif entry.epoch != (epoch := self.epoch(entry.stream)):
            raise StaleEpoch(f"Epoch {entry.epoch} of {entry.stream} is over; the current one is {epoch}.")
        head = head or Head()
        if entry.seq != head.seq + 1:
            raise SequenceGap(f"Commit {entry.seq} of {entry.stream} does not follow commit {head.seq}.")
        versions = self._check_documents(entry, draft)
        draft.versions |= versions
        draft.heads[entry.stream] = head.after(entry)
        return None

    def _repeats_documents(self, entry: Entry, draft: Draft) -> bool:
        """Whether the documents are stored just like this already: an acknowledgement got lost. Passages
        need no such care, since the same one written twice is the same."""
        written = {document.id: document for document, _ in entry.writes()}
        stored = {each: self._version(each, draft) for each in written}
        if not written or any(stored[each] != document.version for each, document in written.items()):
            return False
        return not draft.versions.keys() & written and self._documents.load(written) == written

    def _version(self, document_id: str, draft: Draft) -> int | None:
        return draft.versions.get(document_id, self._documents.version(document_id))

    def _check_documents(self, entry: Entry, draft: Draft) -> dict[str, int]:
        versions: dict[str, int] = {}
        for document, based_on in entry.writes():
            current = versions.get(document.id, self._version(document.id, draft))
            if current == DELETED:
                raise StaleBlock(f"{_name(document)} is deleted.")
            if based_on != current:
                raise StaleBlock(f"{_name(document)} is at version {current}, not {based_on}.")
            following = 0 if current is None else current + 1
            if document.version != following:
                raise InvalidArgument(
                    f"The version of {_name(document)} after this is {following}, not {document.version}."
                )
            versions[document.id] = DELETED if document.deleted else following
        for archive_id in {passage.archive_id for passage in entry.passages}:
            if versions.get(archive_id, self._version(archive_id, draft)) in (None, DELETED):
                raise ArchiveGone(f"Archive {archive_id} is deleted.")
        return versions


def _of_agent(entry: Entry) -> bool:
    return entry.kind not in ("blocks", "documents")


def _name(document: Document) -> str:
    return f"{type(document).__name__} {document.id}"
