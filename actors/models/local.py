"""The embedding model that runs on this machine: weights that come with a library, no network.

It is an extra, ``pip install greenroom[embeddings]``. A node has one process with the model, started
when something is to be embedded for the first time; whoever embeds on that node sends texts there, in
batches.
"""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actors.batch import Batcher
from actors.models.errors import ModelError

LOCAL = "local"
"""Name of the provider."""
LOCAL_MODEL = "wordllama"
LOCAL_DIM = 256


def installed() -> bool:
    """Whether this machine has the extra."""
    return find_spec(LOCAL_MODEL) is not None


class Embedder:
    """The process with the model, a Ray actor."""

    def __init__(self) -> None:
        import wordllama  # noqa: PLC0415 - only this process needs it

        # Otherwise it would look for its tokenizer in the user's cache, then download it.
        packaged = Path(wordllama.__file__).parent
        self._model = wordllama.WordLlama.load(dim=LOCAL_DIM, cache_dir=packaged, disable_download=True)

    async def embed(self, texts: list[str]) -> list[list[float]]:
        """Vectors of length 1, in the order of the texts."""
        vectors: list[list[float]] = self._model.embed(texts, norm=True).tolist()
        return vectors


class LocalModel:
    """A process's way to the model of its node."""

    def __init__(self) -> None:
        self._embedder: Any = None
        self._vectors: Batcher[str, list[float]] = Batcher(self._send)

    async def embed(self, texts: list[str]) -> list[list[float]]:
        """Vectors for texts, in their order.

        Raises:
            ModelError: the process with the model cannot be started, or it died.
        """
        return await asyncio.gather(*(self._vectors(text) for text in texts))

    async def _send(self, texts: list[str]) -> Sequence[list[float]]:
        import ray  # noqa: PLC0415 - a process that embeds nothing here is spared it

        try:
            if self._embedder is None:
                self._embedder = await asyncio.to_thread(_start)
            vectors: list[list[float]] = await self._embedder.embed.remote(texts)
        except ray.exceptions.RayActorError as error:
            self._embedder = None
            raise ModelError(f"The local embedding model is not running: {error}") from error
        return vectors


def _start() -> Any:
    """The node's process with the model, whoever asks for it first."""
    import ray  # noqa: PLC0415 - as above

    from actors import cluster  # noqa: PLC0415 - as above

    node = ray.get_runtime_context().get_node_id()
    options = {"name": f"embedder-{node}", "get_if_exists": True, "scheduling_strategy": cluster.here()}
    return cluster.actor(Embedder).options(**options).remote()
