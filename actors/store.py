"""All shards as one store: what hosts and servers read from and commit to."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import ray
import tenacity

from actors.batch import Batcher
from storage.commits import BlockWrite, Committed, DocumentWrite, Entry, Loaded
from storage.errors import NotFound, StaleBlock, Unavailable
from storage.ids import slot_of
from storage.queries import (
    AgentQuery,
    BlockQuery,
    Contents,
    DocumentQuery,
    Hit,
    MessageQuery,
    MessageSearch,
    MessageVector,
    PassageHit,
    PassageQuery,
    PassageSearch,
    RunQuery,
    StepQuery,
    Unembedded,
    VersionQuery,
    ranked,
)
from storage.records import Block, Document, Message, Passage, Run, Step, now

T = TypeVar("T")
D = TypeVar("D", bound=Document)

RESTART_SECONDS = 60.0
"""How long to wait for a shard that Ray is starting again."""


class Store:
    """The shards' actors behind one interface. One per process.

    Args:
        shards: actor handles, in the order of the shards' numbers.
    """

    def __init__(self, shards: list[Any]) -> None:
        self.shards = shards
        self._commits: list[Batcher[Entry, Committed]] = [Batcher(_patient(shard.commit)) for shard in shards]
        self._points: list[Batcher[tuple[str, tuple[Any, ...]], Any]] = [
            Batcher(_patient(shard.read)) for shard in shards
        ]

    def _index(self, identifier: str) -> int:
        return slot_of(identifier) % len(self.shards)

    async def commit(self, entry: Entry) -> Committed:
        """Commit one entry; returns when it is durable.

        Raises:
            StaleEpoch, SequenceGap, StaleBlock, NotFound, Conflict: the entry was refused.
            StoreError: the shard cannot commit.
        """
        return await self._commits[self._index(entry.stream)](entry)

    async def claim(self, keys: Sequence[int | str], owner: str) -> dict[int | str, int]:
        """Take slots or single agents over; answers the epoch under which each key is held."""
        mine: dict[int, list[int | str]] = {}
        for key in keys:
            slot = key if isinstance(key, int) else slot_of(key)
            mine.setdefault(slot % len(self.shards), []).append(key)
        epochs = await asyncio.gather(
            *(self._point(index, "claim", group, owner) for index, group in mine.items())
        )
        return {key: epoch for group, epoch in zip(mine.values(), epochs, strict=True) for key in group}

    async def _point(self, index: int, method: str, *arguments: Any) -> Any:
        return await self._points[index]((method, arguments))

    async def _alone(self, index: int, method: str, *arguments: Any) -> Any:
        """A call that goes past the batches, so that a long one does not hold up point reads."""
        [answer] = await _patient(self.shards[index].read)([(method, arguments)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _everywhere(self, method: str, *arguments: Any) -> list[Any]:
        return await asyncio.gather(
            *(self._alone(index, method, *arguments) for index in range(len(self.shards)))
        )

    # agents

    async def load(self, agent_id: str) -> Loaded:
        """An agent as of its last commit. Raises NotFound."""
        loaded: Loaded = await self._point(self._index(agent_id), "load", agent_id)
        return await self._with_far_blocks(loaded)

    async def load_many(self, agent_ids: list[str]) -> list[Loaded]:
        """Agents in the order of their ids; those that do not exist are left out."""
        groups: dict[int, list[str]] = {}
        for each in agent_ids:
            groups.setdefault(self._index(each), []).append(each)
        found = await asyncio.gather(
            *(self._point(index, "load_many", group) for index, group in groups.items())
        )
        loaded: dict[str, Loaded] = {each.state.agent.id: each for group in found for each in group}
        return [await self._with_far_blocks(loaded[each]) for each in agent_ids if each in loaded]

    async def _with_far_blocks(self, loaded: Loaded) -> Loaded:
        ids = loaded.state.agent.block_ids
        if len(loaded.blocks) < len(ids):
            near = {block.id: block for block in loaded.blocks}
            far = await self.blocks([each for each in ids if each not in near])
            near.update({block.id: block for block in far})
            loaded.blocks = [near[each] for each in ids if each in near]
        return loaded

    async def find_agents(self, query: AgentQuery) -> list[str]:
        """Ids of the agents that match, in the order asked for."""
        keys: dict[str, Any] = {"after": None, "before": None}
        for side in keys:
            if cursor := getattr(query, side):
                keys[side] = await self._point(self._index(cursor), "agent_sort_key", cursor, query.order_by)
        pages = await self._everywhere("find_agents", query, keys["after"], keys["before"])
        rows = sorted((row for page in pages for row in page), key=lambda row: row.order(query.descending))
        if query.before and not query.after:
            return [row.id for row in rows[-query.limit :]]
        return [row.id for row in rows[: query.limit]]

    async def count_agents(self, query: AgentQuery) -> int:
        return sum(await self._everywhere("count_agents", query))

    # blocks

    async def block(self, block_id: str) -> Block:
        found = await self.blocks([block_id])
        if not found:
            raise NotFound(f"Block not found with id='{block_id}'")
        return found[0]

    async def blocks(self, ids: list[str]) -> list[Block]:
        """Current versions, in the order of the ids; those that do not exist are left out."""
        groups: dict[int, list[str]] = {}
        for each in ids:
            groups.setdefault(self._index(each), []).append(each)
        found = await asyncio.gather(*(self._point(i, "blocks", group) for i, group in groups.items()))
        by_id = {block.id: block for blocks in found for block in cast("list[Block]", blocks)}
        return [by_id[each] for each in ids if each in by_id]

    async def create_block(self, block: Block) -> None:
        await self.commit_block(BlockWrite(block, None))

    async def commit_block(self, write: BlockWrite) -> None:
        """Commit a block's new version by itself. Raises StaleBlock."""
        try:
            await self.commit(Entry("blocks", write.block.id, 0, 0, blocks=[write]))
        except StaleBlock:
            # It may be there already: the shard died after it was committed, and it was sent again.
            if await self.blocks([write.block.id]) != [write.block]:
                raise

    async def edit_block(self, block_id: str, changes: dict[str, Any]) -> Block:
        """Change fields of a block, whoever else is changing it; answers the new version."""
        while True:
            old = await self.block(block_id)
            version = {"version": old.version + 1, "updated_at": now(), "changed_by": {}}
            new = Block.model_validate({**old.model_dump(), **changes, **version})
            try:
                await self.commit_block(BlockWrite(new, old.version))
            except StaleBlock:
                continue
            return new

    async def block_versions(self, query: VersionQuery) -> list[Block]:
        """The versions of a block, also those that were replaced, in the order of their numbers."""
        found: list[Block] = await self._point(self._index(query.block_id), "block_versions", query)
        return found

    async def find_blocks(self, query: BlockQuery) -> list[Block]:
        pages = await self._everywhere("find_blocks", query, await self._attached(query))
        return _merge(pages, query, lambda block: block.id)

    async def count_blocks(self, query: BlockQuery) -> int:
        return sum(await self._everywhere("count_blocks", query, await self._attached(query)))

    async def _attached(self, query: BlockQuery) -> dict[str, int] | None:
        """How many agents each block is attached to, wherever they are; None if nobody wants to know."""
        if not query.agents_eq and query.agents_gt is None and query.agents_lt is None:
            return None
        total: Counter[str] = Counter()
        for counts in await self._everywhere("block_agents"):
            total.update(counts)
        return total

    # other documents

    async def document(self, kind: type[D], document_id: str) -> D:
        """Raises NotFound."""
        found = await self.documents(kind, [document_id])
        if not found:
            raise NotFound(f"{kind.__name__} not found with id='{document_id}'")
        return found[0]

    async def documents(self, kind: type[D], ids: list[str]) -> list[D]:
        """Current versions, in the order of the ids; those that do not exist are left out."""
        groups: dict[int, list[str]] = {}
        for each in ids:
            groups.setdefault(self._index(each), []).append(each)
        found = await asyncio.gather(*(self._point(i, "documents", group) for i, group in groups.items()))
        by_id = {each.id: each for documents in found for each in documents if isinstance(each, kind)}
        return [by_id[each] for each in ids if each in by_id]

    async def create_document(self, document: Document) -> None:
        await self._write_document(DocumentWrite(document, None))

    async def edit_document(self, kind: type[D], document_id: str, changes: dict[str, Any]) -> D:
        """Change fields of a document, whoever else is changing it; answers the new version."""
        while True:
            old = await self.document(kind, document_id)
            version = {"version": old.version + 1, "updated_at": now()}
            new = kind.model_validate({**old.model_dump(), **changes, **version})
            try:
                await self._write_document(DocumentWrite(new, old.version))
            except StaleBlock:
                continue
            return new

    async def _write_document(self, write: DocumentWrite) -> None:
        await self.commit(Entry("documents", write.document.id, 0, 0, documents=[write]))

    async def find_documents(self, kind: type[D], query: DocumentQuery) -> list[D]:
        pages = await self._everywhere("find_documents", query)
        merged: list[Document] = _merge(pages, query, lambda document: document.id)
        return [document for document in merged if isinstance(document, kind)]

    # passages

    async def write_passages(self, passages: list[Passage]) -> None:
        """Insert passages of one archive, and delete those that say so; all or none.

        Raises:
            ArchiveGone: their archive does not exist.
        """
        if passages:
            await self.commit(Entry("documents", passages[0].archive_id, 0, 0, passages=passages))

    async def passages(self, query: PassageQuery) -> list[Passage]:
        """Passages of one archive, or of all, in the order asked for. A cursor is for one archive.

        Raises:
            NotFound: there is no passage under a cursor.
        """
        if query.archive_id:
            found: list[Passage] = await self._point(self._index(query.archive_id), "passages", query)
            return found
        pages = await self._everywhere("passages", query)
        merged = heapq.merge(*pages, key=lambda each: (each.created_at, each.id), reverse=query.descending)
        return list(merged)[: query.limit]

    async def passage(self, passage_id: str) -> Passage:
        """Raises NotFound."""
        found: list[Passage] = await self._point(self._index(passage_id), "load_passages", [passage_id])
        if not found:
            raise NotFound(f"Passage not found with id='{passage_id}'")
        return found[0]

    async def contents(self, archive_id: str) -> Contents:
        """What an archive has in it."""
        found: Contents = await self._point(self._index(archive_id), "contents", archive_id)
        return found

    async def search_passages(self, search: PassageSearch) -> list[PassageHit]:
        """The passages that match best, the best first; without a query, the newest."""
        if search.archive_id:
            hits: list[PassageHit] = await self._point(
                self._index(search.archive_id), "search_passages", search
            )
            return hits
        pages = await self._everywhere("search_passages", search)
        return heapq.nlargest(search.limit, (hit for page in pages for hit in page), key=_rank)

    # history

    async def messages(self, query: MessageQuery) -> list[Message]:
        """Messages of one agent or of all, oldest first; see ``MessageQuery``."""
        if near := query.agent_id or query.run_id or query.step_id:
            found: list[Message] = await self._point(self._index(near), "messages", query)
            return found
        pages = await self._everywhere("messages", query)
        merged = list(heapq.merge(*pages, key=lambda message: message.id))
        return merged[-query.limit :] if query.descending else merged[: query.limit]

    async def search_messages(self, search: MessageSearch) -> list[Hit]:
        """The messages that match best, best first; see ``MessageSearch``."""
        if search.agent_id:
            found: list[Hit] = await self._alone(self._index(search.agent_id), "search_messages", search)
            return found
        pages = await self._everywhere("search_messages", search)
        return ranked((hit for page in pages for hit in page), search.limit)

    async def embedding_models(self, default: str | None) -> dict[str, int]:
        """Handles of the embedding models, with how many agents have each; ``default`` is for agents
        without their own."""
        total: Counter[str] = Counter()
        for models in await self._everywhere("embedding_models", default):
            total.update(models)
        return total

    async def unembedded(
        self, shard: int, model: str, default: str | None, after: int, limit: int
    ) -> tuple[int, list[Unembedded]]:
        """Messages of one shard that are to get vectors; see :meth:`storage.shard.Shard.unembedded`."""
        found: tuple[int, list[Unembedded]] = await self._alone(
            shard, "unembedded", model, default, after, limit
        )
        return found

    async def write_message_vectors(self, shard: int, model: str, vectors: list[MessageVector]) -> None:
        """Store vectors of one shard's messages, all or none; those that are there already stay."""
        await self._alone(shard, "write_message_vectors", model, vectors)

    async def message(self, message_id: str) -> Message:
        found: Message = await self._point(self._index(message_id), "message", message_id)
        return found

    async def messages_of(self, agent_id: str, ids: list[str]) -> list[Message]:
        """Those of these messages that are in this agent's history, in no order."""
        found: list[Message] = await self._point(self._index(agent_id), "messages_of", agent_id, ids)
        return found

    async def message_agent(self, message_id: str) -> str:
        """The agent that a message belongs to. Raises NotFound."""
        found: str = await self._point(self._index(message_id), "message_agent", message_id)
        return found

    async def runs(self, query: RunQuery) -> list[Run]:
        return _merge(await self._everywhere("runs", query), query, lambda run: run.id)

    async def run(self, run_id: str) -> Run:
        found: Run = await self._point(self._index(run_id), "run", run_id)
        return found

    async def steps(self, query: StepQuery) -> list[Step]:
        if near := query.agent_id or query.run_id:
            found: list[Step] = await self._point(self._index(near), "steps", query)
            return found
        return _merge(await self._everywhere("steps", query), query, lambda step: step.id)

    async def step(self, step_id: str) -> Step:
        found: Step = await self._point(self._index(step_id), "step", step_id)
        return found

    async def tags(self) -> list[str]:
        """All tags of agents and blocks, sorted."""
        return sorted({tag for tags in await self._everywhere("tags") for tag in tags})

    async def stats(self) -> list[dict[str, float]]:
        """Each shard's figures."""
        return await self._everywhere("stats")


def _merge(pages: list[list[T]], query: Any, key: Callable[[T], str]) -> list[T]:
    rows = list(heapq.merge(*pages, key=key, reverse=query.descending))
    if query.before and not query.after:
        return rows[-query.limit :]
    return rows[: query.limit]


def _rank(hit: PassageHit) -> tuple[float, datetime, str]:
    return hit.score, hit.passage.created_at, hit.passage.id


def _patient(method: Any) -> Callable[[list[Any]], Awaitable[Any]]:
    """A shard's method that waits while Ray restarts the shard. Every call may be made again:
    commits carry a key, reads change nothing."""

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(ray.exceptions.ActorUnavailableError),
        wait=tenacity.wait_fixed(0.1),
        stop=tenacity.stop_after_delay(RESTART_SECONDS),
        reraise=True,
    )
    async def attempt(items: list[Any]) -> Any:
        return await method.remote(items)

    async def call(items: list[Any]) -> Any:
        try:
            return await attempt(items)
        except ray.exceptions.RayActorError as error:
            raise Unavailable("A shard of the store is down; see the server's log.") from error

    return call
