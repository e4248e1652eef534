"""Which models there are, and what a handle means."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict

from actors.models import known, local
from actors.models.failures import hide_keys
from actors.models.providers import GREENROOM, KINDS, SCRIPTED, Provider
from actors.models.scripted import EMBEDDING_DIM
from storage.errors import InvalidArgument, NotFound
from storage.records import LlmConfig

SCRIPTED_CONTEXT_WINDOW = 128_000
DEFAULT_CONTEXT_WINDOW = 128_000
"""What an agent gets of a model that could take more, unless it asks for more."""
LISTING_SECONDS = 3
LISTING_IS_FRESH = 300
FAILURE_IS_FRESH = 30
CHUNK_SIZE = 300
HANDLES_IN_AN_ERROR = 50
_CONTEXT_KEYS = ("context_window", "context_length", "max_context_length", "max_model_len", "inputTokenLimit")


class ModelInfo(LlmConfig):
    """A language model, as the API lists it: its configuration and what it is called."""

    name: str
    provider_type: str
    model_type: Literal["llm"] = "llm"
    max_context_window: int


class EmbeddingInfo(BaseModel):
    """An embedding model, as the API lists it."""

    model_config = ConfigDict(protected_namespaces=())

    handle: str
    name: str
    display_name: str
    provider_type: str
    provider_name: str
    model_type: Literal["embedding"] = "embedding"
    embedding_model: str
    embedding_endpoint_type: str
    embedding_endpoint: str | None
    embedding_dim: int
    embedding_chunk_size: int = CHUNK_SIZE


@dataclass(slots=True)
class _Listing:
    models: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None
    good_until: float = 0


class Catalog:
    """The models of all providers, each asked for its own list now and then.

    Args:
        providers: where the models are.
    """

    def __init__(self, providers: list[Provider]) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self._listings: dict[str, _Listing] = {}
        self._asking = asyncio.Lock()

    @property
    def problems(self) -> dict[str, str]:
        """Why the models of a provider are not listed, by the provider's name, as of the last try."""
        return {name: listing.problem for name, listing in self._listings.items() if listing.problem}

    async def list_models(self) -> list[ModelInfo]:
        """All language models, the scripted one first. A provider that does not answer is left out;
        :attr:`problems` says why."""
        await self._refresh()
        return [
            _SCRIPTED_MODEL,
            *(_model_info(provider, row) for provider, row in self._rows() if _is_language_model(row)),
        ]

    async def list_embeddings(self) -> list[EmbeddingInfo]:
        """All embedding models whose vectors have a known size, the built-in one first."""
        await self._refresh()
        return [
            _SCRIPTED_EMBEDDING,
            *([_LOCAL_EMBEDDING] if local.installed() else []),
            *(
                _embedding_info(provider, row["id"], dim)
                for provider, row in self._rows()
                if known.is_embedding(row["id"]) and (dim := known.embedding_dim(row["id"]))
            ),
        ]

    async def resolve(self, handle: str) -> LlmConfig:
        """The configuration that a handle stands for.

        A provider's list may lack models that it serves, so any model of a known provider is accepted.

        Raises:
            InvalidArgument: it is no handle.
            NotFound: there is no such provider, or it is not configured.
        """
        if handle == SCRIPTED:
            return _config(_SCRIPTED_MODEL)
        provider, model = await self._split(handle)
        rows = {row["id"]: row for owner, row in self._rows() if owner is provider}
        return _config(_model_info(provider, rows.get(model, {"id": model})))

    async def resolve_embedding(self, handle: str) -> dict[str, Any]:
        """The embedding configuration that a handle stands for, with the keys of the API's
        ``EmbeddingConfig``.

        Raises:
            InvalidArgument: there is no such embedding model.
        """
        if handle == SCRIPTED:
            info = _SCRIPTED_EMBEDDING
        elif handle == _LOCAL_EMBEDDING.handle:
            if not local.installed():
                raise InvalidArgument(
                    f"Embedding model {handle} not found. It is an extra: pip install 'greenroom[embeddings]'"
                )
            info = _LOCAL_EMBEDDING
        else:
            provider = self._providers.get(handle.partition("/")[0])
            model = handle.partition("/")[2]
            if provider is None or not model:
                raise InvalidArgument(f"Embedding model {handle} not found")
            dim = known.embedding_dim(model) or await self._measure(provider, model)
            info = _embedding_info(provider, model, dim)
        return info.model_dump(
            include={
                "handle",
                "embedding_model",
                "embedding_endpoint_type",
                "embedding_endpoint",
                "embedding_dim",
                "embedding_chunk_size",
            }
        )

    async def _split(self, handle: str) -> tuple[Provider, str]:
        name, slash, model = handle.partition("/")
        if not (slash and name and model):
            raise InvalidArgument(f"{handle} is no model handle: it must be provider/model")
        await self._refresh(name)
        if name in self._providers:
            return self._providers[name], model
        handles = [str(info.handle) for info in await self.list_models()]
        more = ["..."] if len(handles) > HANDLES_IN_AN_ERROR else []
        message = f"Handle {handle} not found, must be one of {handles[:HANDLES_IN_AN_ERROR] + more}"
        variable = next((kind.variable for kind in KINDS if kind.name == name), None)
        raise NotFound(message + (f". To use {name}, set {variable}" if variable else ""))

    def _rows(self) -> list[tuple[Provider, dict[str, Any]]]:
        return [
            (provider, row)
            for provider in self._providers.values()
            if provider.name in self._listings
            for row in self._listings[provider.name].models
        ]

    async def _refresh(self, only: str | None = None) -> None:
        async with self._asking:
            stale = [
                provider
                for provider in self._providers.values()
                if only in (None, provider.name)
                and time.monotonic() >= self._listings.get(provider.name, _Listing()).good_until
            ]
            if stale:
                timeout = aiohttp.ClientTimeout(total=LISTING_SECONDS)
                async with aiohttp.ClientSession(timeout=timeout) as session:
                    await asyncio.gather(*(self._ask(session, provider) for provider in stale))

    async def _ask(self, session: aiohttp.ClientSession, provider: Provider) -> None:
        listing = _Listing(good_until=time.monotonic() + LISTING_IS_FRESH)
        try:
            async with session.get(f"{provider.base_url}/models", headers=_headers(provider)) as response:
                body = await response.read()
                if response.status == 200:
                    listing.models = _models(orjson.loads(body))
                else:
                    listing.problem = f"{provider.base_url}/models answered with status {response.status}"
        except TimeoutError:
            listing.problem = f"{provider.base_url} did not answer within {LISTING_SECONDS} seconds"
        except (aiohttp.ClientError, orjson.JSONDecodeError, InvalidArgument) as error:
            listing.problem = hide_keys(f"{provider.base_url}/models cannot be read: {error}", provider)
        if listing.problem:
            listing.good_until = time.monotonic() + FAILURE_IS_FRESH
        self._listings[provider.name] = listing

    async def _measure(self, provider: Provider, model: str) -> int:
        """The size of a model's vectors, found out by asking for one."""
        timeout = aiohttp.ClientTimeout(total=LISTING_SECONDS)
        body = {"model": model, "input": ["size"], "encoding_format": "float"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    f"{provider.base_url}/embeddings", json=body, headers=_headers(provider)
                ) as response,
            ):
                return len(orjson.loads(await response.read())["data"][0]["embedding"])
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
            raise InvalidArgument(f"Embedding model {provider.name}/{model} not found") from error


def _headers(provider: Provider) -> dict[str, str]:
    if provider.api_key is None:
        return {}
    key = provider.api_key.get_secret_value()
    if provider.type == "anthropic":
        # Its list of models is not part of what it serves over the OpenAI protocol.
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {key}"}


def _models(body: Any) -> list[dict[str, Any]]:
    """The rows of a list of models. Most providers wrap them in ``data``; some do not."""
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise InvalidArgument("it is no list of models")
    named = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    return [{**row, "id": row["id"].removeprefix("models/")} for row in named]


def _is_language_model(row: dict[str, Any]) -> bool:
    return row.get("type") in (None, "model", "chat", "language") and known.is_language_model(row["id"])


def _model_info(provider: Provider, row: dict[str, Any]) -> ModelInfo:
    told = (row.get(key) for key in _CONTEXT_KEYS)
    window = next((size for size in told if isinstance(size, int) and size > 0), None)
    window = window or known.context_window(row["id"])
    display_name = row.get("display_name")
    return ModelInfo(
        handle=f"{provider.name}/{row['id']}",
        name=row["id"],
        model=row["id"],
        display_name=display_name if isinstance(display_name, str) else row["id"],
        provider_name=provider.name,
        provider_type=provider.type,
        model_endpoint_type=provider.endpoint_type,
        model_endpoint=provider.base_url,
        context_window=min(window, DEFAULT_CONTEXT_WINDOW),
        max_context_window=window,
    )


def _embedding_info(provider: Provider, model: str, dim: int) -> EmbeddingInfo:
    return EmbeddingInfo(
        handle=f"{provider.name}/{model}",
        name=model,
        display_name=model,
        provider_type=provider.type,
        provider_name=provider.name,
        embedding_model=model,
        embedding_endpoint_type=provider.endpoint_type,
        embedding_endpoint=provider.base_url,
        embedding_dim=dim,
    )


def _config(info: ModelInfo) -> LlmConfig:
    return LlmConfig.model_validate(info.model_dump(include=set(LlmConfig.model_fields)))


_SCRIPTED_MODEL = ModelInfo(
    handle=SCRIPTED,
    name="scripted",
    model="scripted",
    display_name="Scripted stand-in (no language model)",
    provider_name=GREENROOM,
    provider_type="letta",
    model_endpoint_type="openai",
    context_window=SCRIPTED_CONTEXT_WINDOW,
    max_context_window=SCRIPTED_CONTEXT_WINDOW,
)
_SCRIPTED_EMBEDDING = EmbeddingInfo(
    handle=SCRIPTED,
    name="scripted",
    display_name="Hashed words (no language model)",
    provider_type="letta",
    provider_name=GREENROOM,
    embedding_model="scripted",
    embedding_endpoint_type="openai",
    embedding_endpoint=None,
    embedding_dim=EMBEDDING_DIM,
)
_LOCAL_EMBEDDING = EmbeddingInfo(
    handle=f"{local.LOCAL}/{local.LOCAL_MODEL}",
    name=local.LOCAL_MODEL,
    display_name="WordLlama, on this machine",
    provider_type="letta",
    provider_name=local.LOCAL,
    embedding_model=local.LOCAL_MODEL,
    embedding_endpoint_type="hugging-face",
    embedding_endpoint=None,
    embedding_dim=local.LOCAL_DIM,
)
