"""Rows of the step log, as the shard keeps them in memory until they are worked off."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Self

import orjson
import zstandard

from storage.records import DOCUMENTS, Block, Document, Passage

_HEAD_BYTES = 4


@dataclass(slots=True)
class DocumentVersion:
    """One version of a document; its record stays JSON until somebody asks for it."""

    id: str
    version: int
    deleted: bool
    body: bytes

    @classmethod
    def of(cls, document: Document) -> Self:
        body = document.model_dump_json(exclude_defaults=True).encode()
        return cls(document.id, document.version, document.deleted, body)

    @property
    def kind(self) -> str:
        return self.id.partition("-")[0]

    def document(self) -> Document:
        return DOCUMENTS[self.kind].model_validate_json(self.body)


class BlockVersion(DocumentVersion):
    """One version of a block."""

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
    documents: list[DocumentVersion] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    @property
    def of_agent(self) -> bool:
        """Whether it is part of an agent's log."""
        return self.kind not in ("blocks", "documents")


def read_row(values: tuple[Any, ...]) -> LogRow:
    """A row of the table: lsn, stream, seq, epoch, kind, key, payload, blocks, documents, passages."""
    lsn, stream, seq, epoch, kind, key, payload, blocks, documents, passages = values
    row = LogRow(lsn, "", seq, epoch, kind, key, payload, unpack_blocks(blocks))
    row.documents, row.passages = unpack_documents(documents), unpack_passages(passages)
    row.stream = f"{'agent' if row.of_agent else kind.removesuffix('s')}-{stream}"
    return row


def pack_versions(versions: Sequence[DocumentVersion]) -> bytes | None:
    """The document versions of one entry, as its row keeps them."""
    if not versions:
        return None
    return zstandard.compress(b"[" + b",".join(version.body for version in versions) + b"]", 1)


def unpack_blocks(data: bytes | None) -> list[BlockVersion]:
    if data is None:
        return []
    values = orjson.loads(zstandard.decompress(data))
    return [BlockVersion.of(Block.model_validate(value)) for value in values]


def unpack_documents(data: bytes | None) -> list[DocumentVersion]:
    if data is None:
        return []
    values = orjson.loads(zstandard.decompress(data))
    return [
        DocumentVersion.of(DOCUMENTS[value["id"].partition("-")[0]].model_validate(value)) for value in values
    ]


def pack_passages(passages: list[Passage]) -> bytes | None:
    """The passages of one entry, as its row keeps them: a length, so many bytes of JSON, the vectors."""
    if not passages:
        return None
    vectors = [passage.vector or b"" for passage in passages]
    bodies = b",".join(passage.model_dump_json(exclude_defaults=True).encode() for passage in passages)
    sizes = orjson.dumps([len(vector) for vector in vectors])
    head = b'{"passages":[' + bodies + b'],"sizes":' + sizes + b"}"
    return zstandard.compress(b"".join([len(head).to_bytes(_HEAD_BYTES, "little"), head, *vectors]), 1)


def unpack_passages(data: bytes | None) -> list[Passage]:
    if data is None:
        return []
    raw = zstandard.decompress(data)
    start = _HEAD_BYTES + int.from_bytes(raw[:_HEAD_BYTES], "little")
    head = orjson.loads(raw[_HEAD_BYTES:start])
    passages = [Passage.model_validate(body) for body in head["passages"]]
    for passage, (begin, end) in zip(
        passages, pairwise(accumulate(head["sizes"], initial=start)), strict=True
    ):
        passage.vector = raw[begin:end] or None
    return passages
