"""Gives messages their vectors, in the background: one embedder in the server's process does it for all.

What has no vector yet is asked of the shards, never remembered here, so nothing is lost or done twice
when any process dies.
"""

import asyncio
import logging

from actors.models import ModelBadRequest, Models
from actors.recall import embedded
from actors.store import Store
from storage.errors import GreenroomError
from storage.queries import MessageVector, Unembedded

INTERVAL = 1.0
"""Seconds between looks for new messages and new models."""
LONGEST_PAUSE = 60.0
"""Seconds between tries while an embedding model fails, at most."""
AT_ONCE = 64
"""Messages in one batch."""
PROBE = "Does the model work?"

log = logging.getLogger(__name__)


class MessageEmbedder:
    """Keeps the vectors of all messages up.

    Args:
        store: where the messages are.
        models: what embeds them.
        default: handle of the embedding model for agents without their own.
    """

    def __init__(self, store: Store, models: Models, default: str | None) -> None:
        self._store = store
        self._models = models
        self._default = default

    async def run(self) -> None:
        """Work until cancelled. Each model in each shard goes ahead by itself, so that one that fails
        holds up no other."""
        known: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    models = await self._store.embedding_models(self._default)
                except GreenroomError as error:
                    log.warning("Embedding models are unknown for now: %s", error)
                    models = {}
                for model in models.keys() - known:
                    known.add(model)
                    for shard in range(len(self._store.shards)):
                        group.create_task(self._keep_up(shard, model))
                await asyncio.sleep(INTERVAL)

    async def _keep_up(self, shard: int, model: str) -> None:
        after, failures = -1, 0
        while True:
            try:
                upto, messages = await self._store.unembedded(shard, model, self._default, after, AT_ONCE)
                await self._embed(shard, model, messages)
                after, failures = upto, 0
                if len(messages) == AT_ONCE:
                    continue
            except GreenroomError as error:
                failures += 1
                log.warning("Messages cannot be embedded with %s for now: %s", model, error)
            await asyncio.sleep(min(INTERVAL * 2**failures, LONGEST_PAUSE))

    async def _embed(self, shard: int, model: str, messages: list[Unembedded]) -> None:
        speaking = [message for message in messages if message.text]
        vectors = dict.fromkeys((message.message_id for message in messages), None) | dict(
            zip(
                (message.message_id for message in speaking),
                await self._vectors(model, [message.text for message in speaking]),
                strict=True,
            )
        )
        if vectors:
            written = [MessageVector(message_id, vector) for message_id, vector in vectors.items()]
            await self._store.write_message_vectors(shard, model, written)

    async def _vectors(self, model: str, texts: list[str]) -> list[bytes | None]:
        """Vectors of texts; None for one that the model does not take."""
        try:
            return [*await embedded(self._models, model, texts)] if texts else []
        except ModelBadRequest:
            if len(texts) > 1:
                return [vector for text in texts for vector in await self._vectors(model, [text])]
            # Is it the text, or does the model take none at all?
            await embedded(self._models, model, [PROBE])
            return [None]
