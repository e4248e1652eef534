"""Rows of the step log, as the shard keeps them in memory until they are worked off."""

from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import zstandard

from storage.records import Block


@dataclass(slots=True)
class BlockVersion:
    """One version of a block; its record stays JSON until somebody asks for it."""

    id: str
    version: int
    deleted: bool
    body: bytes

    @classmethod
    def of(cls, block: Block) -> Self:
        body = block.model_dump_json(exclude_defaults=True).encode()
        return cls(block.id, block.version, block.deleted, body)

    def block(self) -> Block:
        return Block.model_validate_json(self.body)


@dataclass(slots=True)
class LogRow:
    """One entry that is in the log for good."""

    lsn: int
    """Its number in the log of this shard."""
    stream: str
    seq: int
    epoch: int
    kind: str
    key: str | None
    payload: bytes
    blocks: list[BlockVersion] = field(default_factory=list)


def read_row(values: tuple[Any, ...]) -> LogRow:
    """A row of the table: lsn, stream, seq, epoch, kind, key, payload, blocks."""
    lsn, stream, seq, epoch, kind, key, payload, blocks = values
    prefix = "block" if kind == "blocks" else "agent"
    return LogRow(lsn, f"{prefix}-{stream}", seq, epoch, kind, key, payload, unpack_blocks(blocks))


def pack_blocks(versions: list[BlockVersion]) -> bytes | None:
    """The block versions of one entry, as its row keeps them."""
    if not versions:
        return None
    return zstandard.compress(b"[" + b",".join(version.body for version in versions) + b"]", 1)


def unpack_blocks(data: bytes | None) -> list[BlockVersion]:
    if data is None:
        return []
    values = orjson.loads(zstandard.decompress(data))
    return [BlockVersion.of(Block.model_validate(value)) for value in values]
