"""Who may write and what may follow what, decided in memory by the one writer."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from storage.blocks import DELETED, Blocks
from storage.database import Database, utc
from storage.errors import Conflict, InvalidArgument, NotFound, SequenceGap, StaleBlock, StaleEpoch
from storage.ids import slot_of
from storage.records import Entry
from storage.sql import statements
from storage.state import Head, States

_SQL = statements("log")


@dataclass(slots=True)
class Draft:
    """What a group of entries changes once it is committed."""

    heads: dict[str, Head] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)


class Fence:
    def __init__(self, database: Database, states: States, blocks: Blocks) -> None:
        self._database = database
        self._states = states
        self._blocks = blocks
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
        self._states.fetch_heads({entry.stream for entry in entries if entry.kind != "blocks"})
        self._blocks.fetch_versions({write.block.id for entry in entries for write in entry.blocks})

    def admit(self, entry: Entry, draft: Draft) -> int | None:
        """Check an entry against what is committed and the draft, and add it to the draft.

        Returns:
            None for a new entry; for a repeated one, the epoch of the first time.

        Raises:
            Conflict, NotFound, StaleEpoch, SequenceGap, StaleBlock, InvalidArgument: it is refused.
        """
        if entry.kind == "blocks":
            if self._repeats_blocks(entry, draft):
                return entry.epoch
            draft.versions |= self._check_blocks(entry, draft)
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
        versions = self._check_blocks(entry, draft)
        draft.versions |= versions
        draft.heads[entry.stream] = head.after(entry)
        return None

    def _repeats_blocks(self, entry: Entry, draft: Draft) -> bool:
        """Whether the blocks are stored just like this already: an acknowledgement got lost."""
        written = {write.block.id: write.block for write in entry.blocks}
        stored = {each: self._version(each, draft) for each in written}
        if any(stored[each] != block.version for each, block in written.items()):
            return False
        return not draft.versions.keys() & written and self._blocks.load(written) == written

    def _version(self, block_id: str, draft: Draft) -> int | None:
        return draft.versions.get(block_id, self._blocks.version(block_id))

    def _check_blocks(self, entry: Entry, draft: Draft) -> dict[str, int]:
        versions: dict[str, int] = {}
        for write in entry.blocks:
            block_id = write.block.id
            current = versions.get(block_id, self._version(block_id, draft))
            if current == DELETED:
                raise StaleBlock(f"Block {block_id} is deleted.")
            if write.based_on != current:
                raise StaleBlock(f"Block {block_id} is at version {current}, not {write.based_on}.")
            following = 0 if current is None else current + 1
            if write.block.version != following:
                raise InvalidArgument(
                    f"The version of block {block_id} after this is {following}, not {write.block.version}."
                )
            versions[block_id] = DELETED if write.block.deleted else following
        return versions
