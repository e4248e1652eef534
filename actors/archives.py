"""Archives and their passages: what hosts and servers do with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from actors.models import Models, count
from actors.vectors import packed
from storage.errors import InvalidArgument
from storage.ids import new_id
from storage.queries import Contents, PassageHit, PassageSearch
from storage.records import Agent, Archive, Passage, now

if TYPE_CHECKING:
    from actors.store import Store

PASSAGE_TOKENS = 8_192
"""The longest passage: what most embedding models take."""


class Archives:
    """Puts passages into archives and finds them, by meaning where the archive has an embedding model.

    Args:
        store: where they are.
        models: what embeds them.
    """

    def __init__(self, store: "Store", models: Models) -> None:
        self.store = store
        self._models = models

    async def of(self, agent: Agent) -> Archive | None:
        """The agent's archive. One that was deleted is as good as none."""
        found = await self.store.documents(Archive, agent.archive_ids)
        return found[0] if found else None

    async def contents(self, agent: Agent) -> Contents:
        """What the agent's archive has in it."""
        archive = await self.of(agent) if agent.archive_ids else None
        return await self.store.contents(archive.id) if archive else Contents()

    async def prepare(self, archive: Archive, passages: list[Passage]) -> list[Passage]:
        """Check passages and embed them; nothing is stored.

        Raises:
            InvalidArgument: a text is empty or too long, or its vector has another size than the
                archive's.
            ModelError: the embedding model failed.
        """
        for passage in passages:
            check_text(passage.text)
        vectors = await self._embed(archive, [passage.text for passage in passages])
        for passage, vector in zip(passages, vectors, strict=True):
            passage.vector = vector
        return passages

    async def insert(self, archive: Archive, passages: list[Passage]) -> list[Passage]:
        """Embed passages and store them, all or none. Raises as :meth:`prepare`, and ArchiveGone."""
        await self.prepare(archive, passages)
        await self.store.write_passages(passages)
        return passages

    async def search(self, archive: Archive, search: PassageSearch) -> list[PassageHit]:
        """The archive's passages that match best.

        Raises:
            InvalidArgument: the query is empty, or its vector has another size than the archive's.
            ModelError: the embedding model failed.
        """
        check_text(search.query)
        [vector] = await self._embed(archive, [search.query])
        return await self.store.search_passages(
            search.model_copy(update={"archive_id": archive.id, "vector": vector})
        )

    async def _embed(self, archive: Archive, texts: list[str]) -> Sequence[bytes | None]:
        config = archive.embedding_config
        if config is None or not texts:
            return [None] * len(texts)
        return [_packed(vector, archive, config) for vector in await self._models.embed(config, texts)]


def default_archive(agent: Agent) -> Archive:
    """The archive that an agent gets when it has none."""
    made = now()
    return Archive(
        id=new_id("archive", agent.id),
        name=f"{agent.name}'s Archive",
        embedding_config=agent.embedding_config,
        agent_id=agent.id,
        created_at=made,
        updated_at=made,
    )


def new_passage(
    archive: Archive,
    text: str,
    *,
    tags: Sequence[str] = (),
    metadata: dict[str, Any] | None = None,
    created_at: datetime | None = None,
) -> Passage:
    """A passage that is not stored yet. A tag given twice counts once."""
    return Passage(
        id=new_id("passage", archive.id),
        archive_id=archive.id,
        text=text,
        tags=list(dict.fromkeys(tags)),
        metadata=metadata or {},
        created_at=created_at or now(),
    )


def check_text(text: str) -> None:
    """Raises InvalidArgument for a text that is empty or too long to be embedded."""
    if not text.strip():
        raise InvalidArgument("The text is empty.")
    if (tokens := count(text)) > PASSAGE_TOKENS:
        raise InvalidArgument(
            f"The text has {tokens} tokens, and a passage has at most {PASSAGE_TOKENS}. Split it."
        )


def _packed(vector: list[float], archive: Archive, config: dict[str, Any]) -> bytes:
    model = config.get("handle") or config["embedding_model"]
    if len(vector) != config["embedding_dim"]:
        raise InvalidArgument(
            f"The embedding model {model} gives vectors of {len(vector)} numbers, and archive {archive.id} "
            f"has vectors of {config['embedding_dim']}. Serve the model that the archive was made with, or "
            "make a new archive and insert its passages there."
        )
    return packed(vector, model)
