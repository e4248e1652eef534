"""Who wrote which line of a block: its versions compared line by line, from the newest backwards."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from server.wire.versions import BlockBlame, origin
from storage.queries import VersionQuery
from storage.records import Block

if TYPE_CHECKING:
    from actors.store import Store

VERSIONS = 500
CHARACTERS = 20_000_000
"""How far back a block's versions are read, and how much text of them."""
AT_ONCE = 50
PAIRS = 1_000_000
"""Equal pairs of lines up to which two versions are compared thoroughly. Beyond, everything between their
common beginning and end counts as written anew."""


class Walk:
    """The lines of a block, and the version that wrote each one, as far as it is found.

    Args:
        newest: the version whose lines are asked about.
    """

    def __init__(self, newest: Block) -> None:
        self.newest = newest
        self.lines = _lines(newest)
        self.writers: list[Block | None] = [None] * len(self.lines)
        self.walked = 1
        self.characters = len(newest.value)
        self._last = newest
        self._open = {place: place for place in range(len(self.lines))}
        """Where in the last version each line is whose writer is not found yet."""
        self._close()

    @property
    def oldest(self) -> Block:
        """The last version that was looked at."""
        return self._last

    @property
    def over(self) -> bool:
        """Whether every writer is found, or enough was looked at."""
        return not self._open or self.walked >= VERSIONS or self.characters >= CHARACTERS

    def back(self, versions: Iterable[Block]) -> None:
        """Look at further versions, each one older than the one before."""
        for older in versions:
            if self.over:
                return
            self._step(older)

    def _step(self, older: Block) -> None:
        if older.value != self._last.value:
            kept = unchanged(_lines(older), _lines(self._last))
            self._write(place for place in self._open if place not in kept)
            self._open = {kept[place]: line for place, line in self._open.items() if place in kept}
        self._last = older
        self.walked += 1
        self.characters += len(older.value)
        self._close()

    def _close(self) -> None:
        if self._last.version == 0:
            self._write(self._open)
            self._open = {}

    def _write(self, places: Iterable[int]) -> None:
        for place in places:
            self.writers[self._open[place]] = self._last


async def blame(store: "Store", block_id: str) -> BlockBlame:
    """Who wrote each line of a block."""
    [newest] = await store.block_versions(VersionQuery(block_id=block_id, limit=1))
    walk = Walk(newest)
    while not walk.over:
        further = VersionQuery(block_id=block_id, below=walk.oldest.version, limit=AT_ONCE)
        # Comparing takes a while, and others want to be served.
        await asyncio.to_thread(walk.back, await store.block_versions(further))
    return {
        "block_id": block_id,
        "label": newest.label,
        "version": newest.version,
        "versions_walked": walk.walked,
        "complete": None not in walk.writers,
        "lines": [
            {
                "line": number,
                "text": text,
                "version": writer.version if writer else None,
                "written_at": writer.updated_at if writer else None,
                **origin(writer),
            }
            for number, (text, writer) in enumerate(zip(walk.lines, walk.writers, strict=True), 1)
        ],
    }


def unchanged(old: list[str], new: list[str]) -> dict[int, int]:
    """Places in ``new`` of the lines that it has from ``old``, with their places there."""
    shorter = min(len(old), len(new))
    start = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    most = shorter - start
    end = next((n for n in range(most) if old[-1 - n] != new[-1 - n]), most)
    kept = {place: place for place in range(start)}
    kept |= {len(new) - n: len(old) - n for n in range(1, end + 1)}
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    frequent = Counter(after)
    if sum(frequent[line] for line in before) <= PAIRS:
        for match in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
            kept |= {start + match.b + n: start + match.a + n for n in range(match.size)}
    return kept


def _lines(block: Block) -> list[str]:
    return block.value.split("\n") if block.value else []
