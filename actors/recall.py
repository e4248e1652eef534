"""Looking back at what was said: by words, by meaning, or by both."""

import asyncio
import logging
from typing import Any

from actors.models import ModelError, Models
from actors.store import Store
from actors.vectors import packed
from storage.queries import Hit, MessageSearch, SearchMode, fused
from storage.records import Agent

CANDIDATES = 100
"""Matches of each kind that are put in one order."""
LONGEST_TEXT = 8_000
"""Characters that are embedded of a text; its beginning tells what it is about."""

log = logging.getLogger(__name__)


class Recall:
    """Searches in histories. Where no embedding model applies, messages are found by their words,
    whichever mode is asked for.

    Args:
        store: where the histories are.
        models: what embeds the queries.
        default: handle of the embedding model for agents without their own.
    """

    def __init__(self, store: Store, models: Models, default: str | None) -> None:
        self._store = store
        self._models = models
        self._default = default

    async def search(
        self, search: MessageSearch, mode: SearchMode = "hybrid", agent: Agent | None = None
    ) -> list[Hit]:
        """The messages that match best, best first; without a query, the newest.

        Vectors of two models cannot be compared. So a search in all histories compares those of the
        default model or, without one, of the model that most agents have; by words it finds everything.

        Args:
            agent: the agent whose history it is; None if all are searched.

        Raises:
            ModelError: the embedding model failed, and only meaning was asked for.
        """
        model = await self._model(agent) if search.query and mode != "fts" else None
        if model is None:
            return await self._store.search_messages(search)
        try:
            [vector] = await embedded(self._models, model, [search.query])
        except ModelError as error:
            if mode == "vector":
                raise
            log.warning("Messages are searched by words only: %s", error)
            return await self._store.search_messages(search)
        near = search.model_copy(update={"model": model, "vector": vector})
        if mode == "vector":
            return await self._store.search_messages(near)
        more = {"limit": max(search.limit, CANDIDATES)}
        by_words, by_meaning = await asyncio.gather(
            *(self._store.search_messages(each.model_copy(update=more)) for each in (search, near))
        )
        return fused(by_words, by_meaning, search.limit)

    async def _model(self, agent: Agent | None) -> str | None:
        if agent is not None and agent.embedding_config:
            return str(agent.embedding_config["handle"])
        if agent is not None or self._default:
            return self._default
        models = await self._store.embedding_models(None)
        return max(models, key=lambda model: (models[model], model), default=None)


async def embedded(models: Models, model: str, texts: list[str]) -> list[bytes]:
    """Vectors for texts, in their order.

    Args:
        model: handle of the embedding model.

    Raises:
        ModelError: it failed.
    """
    config: dict[str, Any] = {"handle": model, "embedding_model": model.partition("/")[2]}
    vectors = await models.embed(config, [text[:LONGEST_TEXT] for text in texts])
    return [packed(vector, model) for vector in vectors]
