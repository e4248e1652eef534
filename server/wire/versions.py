"""Versions of blocks on the wire, and who wrote which line."""

from datetime import datetime
from typing import Literal

from pydantic import Field
from typing_extensions import TypedDict

from server.wire.common import Body, Query
from storage.queries import VersionQuery
from storage.records import Block


class Origin(TypedDict):
    """What wrote something: a tool call of an agent, or a client of the API."""

    source: Literal["agent", "api"] | None
    agent_id: str | None
    run_id: str | None
    step_id: str | None
    message_id: str | None
    tool_call_id: str | None


class BlockVersionResponse(Origin):
    block_id: str
    version: int
    label: str
    value: str
    description: str | None
    limit: int
    read_only: bool
    created_at: datetime


class BlameLine(Origin):
    line: int
    text: str
    version: int | None
    written_at: datetime | None


class BlockBlame(TypedDict):
    block_id: str
    label: str
    version: int
    versions_walked: int
    complete: bool
    lines: list[BlameLine]


class ListVersions(Query):
    after: int | None = Field(None, description="Number of a version; those that come after it are listed.")
    before: int | None = Field(None, description="Number of a version; those that come before it are listed.")
    limit: int = Field(50, ge=1, le=100)
    order: Literal["asc", "desc"] = "desc"

    def storage_query(self, block_id: str) -> VersionQuery:
        """Which versions to read; where :attr:`backwards` is set, they come in the opposite order."""
        above, below = (self.after, self.before) if self.order == "asc" else (self.before, self.after)
        descending = (self.order == "desc") != self.backwards
        return VersionQuery(
            block_id=block_id, above=above, below=below, limit=self.limit, descending=descending
        )

    @property
    def backwards(self) -> bool:
        """Whether the page is the one right before a cursor."""
        return self.before is not None and self.after is None


class RevertBlock(Body):
    version: int = Field(ge=0, description="Number of the version whose text the block gets again.")


def origin(block: Block | None) -> Origin:
    by = block.changed_by if block else {}
    source: Literal["agent", "api"] = "agent" if "agent_id" in by else "api"
    return {
        "source": source if block else None,
        "agent_id": by.get("agent_id"),
        "run_id": by.get("run_id"),
        "step_id": by.get("step_id"),
        "message_id": by.get("message_id"),
        "tool_call_id": by.get("tool_call_id"),
    }


def version_response(block: Block) -> BlockVersionResponse:
    return {
        "block_id": block.id,
        "version": block.version,
        "label": block.label,
        "value": block.value,
        "description": block.description,
        "limit": block.limit,
        "read_only": block.read_only,
        "created_at": block.updated_at,
        **origin(block),
    }
