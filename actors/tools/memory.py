"""An agent's blocks while its tools edit them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from storage.commits import BlockWrite
from storage.ids import new_id
from storage.records import Block, now


class Memory:
    """A working copy of an agent's blocks. Tools edit it; :meth:`writes` says what to commit.

    When a block turns out to have changed in the meantime, the same calls run again on a new
    ``Memory`` of the fresh blocks. A refused edit raises ``ValueError``, whose text is for the model,
    and changes nothing.

    Args:
        blocks: the agent's blocks, in the order of its prompt.
        near: the agent's id, whose slot new blocks share.
    """

    def __init__(self, blocks: Iterable[Block], near: str | None = None) -> None:
        self._near = near
        self._blocks = {block.label: block for block in blocks}
        self._loaded = {block.id: block for block in self._blocks.values()}

    @property
    def blocks(self) -> list[Block]:
        """The blocks as edited so far, in their order."""
        return list(self._blocks.values())

    def __getitem__(self, label: str) -> Block:
        if label not in self._blocks:
            known = ", ".join(self._blocks) or "none"
            raise ValueError(f"Memory block '{label}' does not exist. Your memory blocks are: {known}.")
        return self._blocks[label]

    def editable(self, label: str) -> Block:
        """The block of this label, which must not be read-only."""
        block = self[label]
        if block.read_only:
            raise ValueError("Error This block is read-only and cannot be edited.")
        return block

    def write(self, label: str, value: str) -> str:
        """Give a block a new value and return it. A value over the block's limit is refused unless
        it is shorter than the old one."""
        block = self.editable(label)
        if len(value) > len(block.value):
            _fits(block, value)
        self._blocks[label] = block.model_copy(update={"value": value})
        return value

    def create(self, label: str, value: str, description: str | None = None) -> None:
        """Add a new block at the end."""
        self._free(label)
        made_at = now()
        block = Block(
            id=new_id("block", near=self._near),
            label=label,
            value=value,
            description=description,
            created_at=made_at,
            updated_at=made_at,
        )
        _fits(block, value)
        self._blocks[label] = block

    def detach(self, label: str) -> None:
        """Take a block out of this agent's memory. Other agents that share it keep it."""
        self.editable(label)
        del self._blocks[label]

    def rename(self, label: str, new_label: str) -> None:
        """Give a block another label; it keeps its place."""
        block = self.editable(label)
        if new_label == label:
            return
        self._free(new_label)
        renamed = block.model_copy(update={"label": new_label})
        self._blocks = {
            (new_label if old == label else old): (renamed if old == label else kept)
            for old, kept in self._blocks.items()
        }

    def describe(self, label: str, description: str) -> None:
        """Give a block another description."""
        self._blocks[label] = self.editable(label).model_copy(update={"description": description})

    def writes(self, changed_by: dict[str, str] | None = None) -> list[BlockWrite]:
        """The new versions to commit: one for each block that was made or changed since this was last
        asked, or since it was loaded.

        Args:
            changed_by: what made them, see ``Block.changed_by``.
        """
        found = []
        for label, block in self._blocks.items():
            old = self._loaded.get(block.id)
            if block == old:
                continue
            signed = {"changed_by": changed_by or {}}
            if old is None:
                new = block.model_copy(update=signed)
            else:
                new = block.model_copy(update={**signed, "version": old.version + 1, "updated_at": now()})
            found.append(BlockWrite(new, based_on=old.version if old else None))
            self._blocks[label] = self._loaded[new.id] = new
        return found

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo every edit made inside when one of them is refused."""
        before = dict(self._blocks)
        try:
            yield
        except ValueError:
            self._blocks = before
            raise

    def _free(self, label: str) -> None:
        if not label.strip():
            raise ValueError("A memory block needs a label.")
        if label in self._blocks:
            raise ValueError(f"Memory block '{label}' exists already.")


def _fits(block: Block, value: str) -> None:
    if len(value) > block.limit:
        raise ValueError(
            f"Memory block '{block.label}' holds at most {block.limit} characters and would have "
            f"{len(value)}. Shorten the text, or remove what is no longer needed first."
        )
