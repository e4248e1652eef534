"""Archives and passages on the wire."""

from array import array
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from actors.packing import zone
from server.wire.agent_requests import EmbeddingConfigInput
from server.wire.common import (
    DEFAULT_ORGANIZATION,
    DEFAULT_USER,
    MAX_ITEMS,
    AgentId,
    Body,
    Key,
    Keys,
    Object,
    OldestFirst,
    PageParams,
    Query,
    Short,
    Text,
)
from storage.queries import PassageHit, PassageSearch
from storage.records import Archive, Passage


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("too far from today") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; one without a zone is in UTC."""
TagMatch = Literal["any", "all"]


class ArchiveResponse(TypedDict):
    id: str
    name: str
    description: str | None
    embedding_config: dict[str, Any] | None
    vector_db_provider: str
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    created_by_id: str | None
    last_updated_by_id: str | None


class PassageResponse(TypedDict):
    id: str
    text: str
    archive_id: str
    embedding: list[float] | None
    embedding_config: dict[str, Any] | None
    tags: list[str]
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime | None
    is_deleted: bool
    source_id: str | None
    file_id: str | None
    file_name: str | None
    organization_id: str
    created_by_id: str | None
    last_updated_by_id: str | None


class ScoredPassage(TypedDict):
    passage: PassageResponse
    score: float
    metadata: dict[str, Any]


class FoundPassage(TypedDict):
    id: str
    timestamp: str
    content: str
    tags: list[str]


class FoundPassages(TypedDict):
    results: list[FoundPassage]
    count: int


def archive_response(archive: Archive) -> ArchiveResponse:
    return {
        "id": archive.id,
        "name": archive.name,
        "description": archive.description,
        "embedding_config": archive.embedding_config,
        "vector_db_provider": "native",
        "metadata": archive.metadata,
        "created_at": archive.created_at,
        "updated_at": archive.updated_at,
        "created_by_id": DEFAULT_USER,
        "last_updated_by_id": DEFAULT_USER,
    }


def passage_response(passage: Passage, archive: Archive | None) -> PassageResponse:
    """A passage; what a search finds has no embedding here, since it is most of a passage.

    Args:
        archive: that it is in; None if it was deleted just now.
    """
    vector = passage.vector
    return {
        "id": passage.id,
        "text": passage.text,
        "archive_id": passage.archive_id,
        "embedding": array("f", vector).tolist() if vector else None,
        "embedding_config": archive.embedding_config if archive else None,
        "tags": passage.tags,
        "metadata": passage.metadata,
        "created_at": passage.created_at,
        "updated_at": None,
        "is_deleted": False,
        "source_id": None,
        "file_id": None,
        "file_name": None,
        "organization_id": DEFAULT_ORGANIZATION,
        "created_by_id": DEFAULT_USER,
        "last_updated_by_id": DEFAULT_USER,
    }


def found_passages(hits: list[PassageHit], timezone: str) -> FoundPassages:
    """What an agent's search found, with times in the agent's zone."""
    results: list[FoundPassage] = [
        {
            "id": hit.passage.id,
            "timestamp": hit.passage.created_at.astimezone(zone(timezone)).isoformat(timespec="seconds"),
            "content": hit.passage.text,
            "tags": hit.passage.tags,
        }
        for hit in hits
    ]
    return {"results": results, "count": len(results)}


class UpdateArchive(Body):
    name: Key | None = None
    description: Text | None = None


class CreateArchive(UpdateArchive):
    name: Key
    embedding: Key | None = None
    embedding_config: EmbeddingConfigInput | None = None


class ListArchives(PageParams):
    cursors = "archive"
    agent_id: AgentId | None = None
    name: Short | None = None


class CreatePassage(Body):
    text: Text
    tags: Keys = Field([])
    metadata: Object = Field({})
    created_at: Moment | None = None


class CreatePassages(Body):
    passages: list[CreatePassage] = Field(max_length=MAX_ITEMS)


class ListPassages(OldestFirst):
    cursors = "passage"
    limit: int = Field(100, ge=1, le=1000)
    search: Short | None = Field(None, description="Part of the text, in any case.")


class SearchAgentPassages(Query):
    query: Text
    tags: Keys = Field([])
    tag_match_mode: TagMatch = "any"
    top_k: int = Field(5, ge=1, le=100)
    start_datetime: Moment | None = None
    end_datetime: Moment | None = None

    def storage_search(self) -> PassageSearch:
        return PassageSearch(
            query=self.query,
            tags=self.tags,
            match_all_tags=self.tag_match_mode == "all",
            limit=self.top_k,
            start=self.start_datetime,
            end=self.end_datetime,
        )


class SearchPassages(Body):
    query: Text | None = None
    agent_id: AgentId | None = None
    archive_id: Key | None = None
    tags: Keys = Field([])
    tag_match_mode: TagMatch = "any"
    limit: int = Field(50, ge=1, le=100)
    start_date: Moment | None = None
    end_date: Moment | None = None

    def storage_search(self) -> PassageSearch:
        return PassageSearch(
            query=self.query or "",
            tags=self.tags,
            match_all_tags=self.tag_match_mode == "all",
            limit=self.limit,
            start=self.start_date,
            end=self.end_date,
        )
