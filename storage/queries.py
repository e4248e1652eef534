"""What can be asked of a shard, and what listings and searches answer with."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.ids import uuid_of
from storage.records import Message, Passage

LAST_PLACE = 2**63 - 1


class Page(BaseModel):
    """Where a listing starts and how far it goes. Cursors are ids; they belong to the listing's
    order, so ``after`` means "further on" whichever way it is sorted."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=1000)
    descending: bool = True
    after: str | None = None
    before: str | None = None


class AgentQuery(Page):
    order_by: Literal["created_at", "updated_at", "last_run_completion"] = "created_at"
    """Ids without a value come last."""
    name: str | None = None
    query_text: str | None = None
    """Part of the name, in any case."""
    tags: list[str] = []
    match_all_tags: bool = False
    project_id: str | None = None
    template_id: str | None = None
    base_template_id: str | None = None
    identity_id: str | None = None
    created_by_id: str | None = None
    last_stop_reason: str | None = None
    block_id: str | None = None
    """Agents that this block is attached to."""
    archive_id: str | None = None
    """Agents that this archive is attached to."""
    grouped: bool = False
    """Only agents that have sleep-time agents."""
    hidden: bool = False
    """Whether hidden agents are listed too."""


@dataclass(slots=True, frozen=True)
class AgentKey:
    """Where an agent stands in a listing."""

    id: str
    value: int | None = None
    """Microseconds since 1970 of what the listing is ordered by; None by creation, which ids tell,
    and for agents that have no such time."""

    def place(self, sign: int) -> int:
        """A number that goes up along a listing; ``sign`` is -1 if that is descending, else 1."""
        return LAST_PLACE if self.value is None else self.value * sign

    def order(self, descending: bool) -> tuple[int, int]:
        """Sorts the keys of several shards into the listing's order."""
        sign = -1 if descending else 1
        return self.place(sign), uuid_of(self.id).int * sign


class BlockQuery(Page):
    descending: bool = False
    label: str | None = None
    name: str | None = None
    """Template name."""
    templates_only: bool = False
    label_search: str | None = None
    description_search: str | None = None
    value_search: str | None = None
    project_id: str | None = None
    tags: list[str] = []
    match_all_tags: bool = False
    agents_eq: list[int] = []
    """Connected to one of these numbers of agents."""
    agents_gt: int | None = None
    agents_lt: int | None = None
    hidden: bool = False


class VersionQuery(BaseModel):
    """Versions of a block, by their numbers."""

    model_config = ConfigDict(extra="forbid")

    block_id: str
    above: int | None = None
    below: int | None = None
    descending: bool = True
    limit: int = Field(50, ge=1, le=1000)


class DocumentQuery(Page):
    """Documents of one kind, by their ids; blocks have a query of their own."""

    kind: str
    """Prefix of the ids."""
    name: str | None = None


class PassageFilter(BaseModel):
    """Which passages are wanted."""

    model_config = ConfigDict(extra="forbid")

    archive_id: str | None = None
    """Without one, passages of all archives."""
    tags: list[str] = []
    match_all_tags: bool = False
    start: datetime | None = None
    end: datetime | None = None


class PassageQuery(PassageFilter, Page):
    """Passages by the time they are from. That time can be given, so ids do not tell it."""

    descending: bool = False
    text: str | None = None
    """Part of the text, in any case."""


class PassageSearch(PassageFilter):
    """The passages that match best: by meaning with a ``vector``, else by the words of the query."""

    query: str = ""
    vector: bytes | None = None
    """float32 numbers; only with an ``archive_id``, whose passages have vectors of the same size."""
    limit: int = Field(5, ge=1, le=1000)


@dataclass(slots=True)
class PassageHit:
    passage: Passage
    score: float
    """Higher is better: the cosine, or the BM25 score."""


@dataclass(slots=True, frozen=True)
class Contents:
    """What an archive has in it."""

    passages: int = 0
    tags: tuple[str, ...] = ()


class MessageQuery(Page):
    """Messages of one agent, or of all when ``agent_id`` is missing. Here ``after`` means newer and
    ``before`` older, whatever the order; the page is the newest rows when descending, the oldest
    otherwise, and comes back oldest first either way."""

    agent_id: str | None = None
    run_id: str | None = None
    step_id: str | None = None
    roles: list[str] = []
    words: list[str] = []
    """All of these must occur, in any case."""
    start: datetime | None = None
    end: datetime | None = None


class MessageSearch(BaseModel):
    """The messages that match best, of one agent or of all. Of system and tool messages there is nothing
    to be found."""

    model_config = ConfigDict(extra="forbid")

    query: str = ""
    """Any of its words, best matches first; words in double quotes as a phrase. Empty: the newest."""
    agent_id: str | None = None
    roles: list[Literal["user", "assistant", "summary", "reasoning"]] = []
    """``reasoning`` is an assistant's, apart from what it says. Without any, all of them."""
    start: datetime | None = None
    end: datetime | None = None
    limit: int = Field(50, ge=1, le=1000)
    model: str | None = None
    """Handle of the embedding model that made the vector."""
    vector: bytes | None = None
    """float32 numbers. With it messages match by meaning, not by words; what the model has not embedded yet
    is not found."""


@dataclass(slots=True, frozen=True)
class Unembedded:
    """A message that is to get a vector."""

    message_id: str
    text: str


@dataclass(slots=True, frozen=True)
class MessageVector:
    """What an embedding model makes of a message."""

    message_id: str
    vector: bytes | None
    """float32 numbers; None if there is nothing to embed, or the model does not take it."""


SearchMode = Literal["vector", "fts", "hybrid"]
"""How messages are found: by meaning, by words, or both in one order."""
RANK_CONSTANT = 60
"""Of reciprocal rank fusion, with which two orders are made one."""


@dataclass(slots=True)
class Hit:
    """A message that was found."""

    message: Message
    agent_id: str
    role: str
    """As in a search's ``roles``: which of the message's texts was found."""
    score: float
    """Higher is better; 0 where nothing was to be matched. What it measures depends on the mode."""
    rank: int = 0
    """Its place, from 1, among the matches by words; 0 if it is none of them."""
    vector_rank: int = 0
    """The same among the matches by meaning."""
    mode: SearchMode = "fts"
    """How it was looked for."""

    @property
    def rrf_score(self) -> float:
        """The sum of the reciprocal ranks."""
        return sum(1 / (RANK_CONSTANT + rank) for rank in (self.rank, self.vector_rank) if rank)


def ranked(hits: Iterable[Hit], limit: int) -> list[Hit]:
    """The best of hits, perhaps of several shards, best first; of equally good ones the newest."""
    best = sorted(hits, key=lambda hit: (hit.score, hit.message.id), reverse=True)[:limit]
    return [
        replace(hit, rank=hit.rank and place, vector_rank=hit.vector_rank and place)
        for place, hit in enumerate(best, 1)
    ]


def fused(by_words: list[Hit], by_meaning: list[Hit], limit: int) -> list[Hit]:
    """The matches of both kinds in one order, by their reciprocal ranks."""
    hits = {(hit.message.id, hit.role): replace(hit, mode="hybrid") for hit in by_words}
    for near in by_meaning:
        key = near.message.id, near.role
        hits[key] = replace(hits.get(key, near), vector_rank=near.vector_rank, mode="hybrid")
    for hit in hits.values():
        hit.score = hit.rrf_score
    best = sorted(hits.values(), key=lambda hit: (hit.score, hit.message.id), reverse=True)
    return best[:limit]


class RunQuery(Page):
    agent_ids: list[str] = []
    statuses: list[str] = []
    stop_reason: str | None = None
    background: bool | None = None
    conversation_id: str | None = None


class StepQuery(Page):
    agent_id: str | None = None
    run_id: str | None = None
    model: str | None = None
    feedback: str | None = None
    has_feedback: bool | None = None
    tags: list[str] = []
    start: datetime | None = None
    end: datetime | None = None
    project_id: str | None = None
