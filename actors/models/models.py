"""A process's way to all models: one client per provider, and the built-in scripted model."""

from collections.abc import Callable
from typing import Any

from actors.models.client import Client
from actors.models.errors import ModelAuthentication
from actors.models.local import LOCAL, LocalModel
from actors.models.providers import GREENROOM, KINDS, Provider
from actors.models.request import Completion, ModelDelta, ModelRequest
from actors.models.scripted import embed, play, respond

OnDelta = Callable[[ModelDelta], None]


class Models:
    """Calls models.

    Args:
        providers: where the models are.
        calls: calls in flight per provider; four times as many may wait, more get ``Busy``.
        timeout: seconds an answer may take; when it is streamed, seconds between two pieces of it.
        retries: further tries after 429, 5xx, a timeout, a connection error or an unreadable answer.
        scripted_latency_ms: milliseconds before the scripted model answers.
        scripted_tokens_per_second: its speed; 0 is as fast as it can.
    """

    def __init__(
        self,
        providers: list[Provider],
        *,
        calls: int,
        timeout: float,
        retries: int,
        scripted_latency_ms: float = 0,
        scripted_tokens_per_second: float = 0,
    ) -> None:
        self._local = LocalModel()
        self._latency_ms = scripted_latency_ms
        self._tokens_per_second = scripted_tokens_per_second
        self._clients = {
            provider.name: Client(provider, calls=calls, timeout=timeout, retries=retries)
            for provider in providers
        }

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Call the model. With ``on_delta`` the answer is streamed to it while it is written.

        Raises:
            ModelError: the provider failed; the subclass says how.
            Busy: too many calls wait for this provider already.
        """
        if request.llm.provider_name == GREENROOM:
            return await self._scripted(request, on_delta)
        return await self._client(request.llm.provider_name).complete(request, on_delta)

    async def embed(self, embedding: dict[str, Any], texts: list[str]) -> list[list[float]]:
        """Vectors for texts, in their order.

        Args:
            embedding: an embedding configuration, as :meth:`Catalog.resolve_embedding` makes it.
            texts: what to embed.
        """
        provider = embedding["handle"].partition("/")[0]
        if provider == GREENROOM:
            return [embed(text) for text in texts]
        if provider == LOCAL:
            return await self._local.embed(texts)
        return await self._client(provider).embed(embedding["embedding_model"], texts)

    async def close(self) -> None:
        """Close the connections to the providers."""
        for client in self._clients.values():
            await client.close()

    def _client(self, provider: str) -> Client:
        if provider in self._clients:
            return self._clients[provider]
        variable = next((kind.variable for kind in KINDS if kind.name == provider), None)
        raise ModelAuthentication(
            f"The model provider {provider} is not configured" + (f": set {variable}" if variable else "")
        )

    async def _scripted(self, request: ModelRequest, on_delta: OnDelta | None) -> Completion:
        completion = respond(
            request.messages, request.tools, request.tool_choice, parallel=request.llm.parallel_tool_calls
        )
        if on_delta or self._latency_ms or self._tokens_per_second:
            pace = {"latency_ms": self._latency_ms, "tokens_per_second": self._tokens_per_second}
            async for delta in play(completion, **pace):
                if on_delta:
                    on_delta(delta)
        return completion
