"""Talking to language models: providers, calls, the built-in scripted stand-in, token counts."""

from actors.models.catalog import Catalog, EmbeddingInfo, ModelInfo
from actors.models.errors import (
    ContextWindowExceeded,
    ModelAuthentication,
    ModelBadRequest,
    ModelEmptyResponse,
    ModelError,
    ModelInsufficientCredits,
    ModelRateLimit,
    ModelTimeout,
)
from actors.models.models import Models
from actors.models.providers import SCRIPTED, Provider, providers_from_environment
from actors.models.request import Completion, ModelDelta, ModelRequest
from actors.models.tokens import count, estimate, estimate_prompt, is_exact

__all__ = [
    "SCRIPTED",
    "Catalog",
    "Completion",
    "ContextWindowExceeded",
    "EmbeddingInfo",
    "ModelAuthentication",
    "ModelBadRequest",
    "ModelDelta",
    "ModelEmptyResponse",
    "ModelError",
    "ModelInfo",
    "ModelInsufficientCredits",
    "ModelRateLimit",
    "ModelRequest",
    "ModelTimeout",
    "Models",
    "Provider",
    "count",
    "estimate",
    "estimate_prompt",
    "is_exact",
    "providers_from_environment",
]
