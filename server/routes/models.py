"""Models that agents can use."""

from typing import Literal

from pydantic import Field

from actors.models import EmbeddingInfo, ModelInfo
from server.routing import Routes, Server
from server.wire.common import Query, Short

routes = Routes("models")


class ListModels(Query):
    provider_category: list[Literal["base", "byok"]] = Field([])
    provider_name: Short | None = None
    provider_type: Short | None = None


@routes.get("/v1/models/")
async def list_models(server: Server, query: ListModels) -> list[ModelInfo]:
    """List language models."""
    return [
        model
        for model in await server.catalog.list_models()
        if (not query.provider_category or model.provider_category in query.provider_category)
        and query.provider_name in (None, model.provider_name)
        and query.provider_type in (None, model.provider_type)
    ]


@routes.get("/v1/models/embedding")
async def list_embeddings(server: Server) -> list[EmbeddingInfo]:
    """List embedding models."""
    return await server.catalog.list_embeddings()
