"""From what a provider says went wrong to the one error that it is."""

import re
from collections.abc import Mapping
from typing import Any

from actors.models.errors import (
    ContextWindowExceeded,
    ModelAuthentication,
    ModelBadRequest,
    ModelError,
    ModelInsufficientCredits,
    ModelRateLimit,
    ModelTimeout,
)
from actors.models.providers import Provider

LONGEST_DETAIL = 500

_CONTEXT = re.compile(
    r"(?i)context[_ -](?:length|window|size)|maximum context|prompt is too long|input is too long"
    r"|(?:input|prompt) tokens?.{0,40}exceed|too many (?:input )?tokens|maximum number of tokens"
    r"|reduce the length of the (?:messages|prompt)|exceed_context_size"
)
_CREDITS = re.compile(
    r"(?i)insufficient_quota|insufficient (?:credits?|balance|funds)|credit balance is too low"
)
_KEY = re.compile(r"\b(?:sk|gsk|xai|tgp|AIza|Bearer)[-_ ]?[\w*.-]{6,}")


def from_status(
    provider: Provider, status: int, body: object, headers: Mapping[str, str] | None = None
) -> ModelError:
    """The error that an HTTP status and its body tell of."""
    code, said = _said(body)
    said = hide_keys(said, provider)[:LONGEST_DETAIL]
    kind = _kind(status, f"{code} {said}")
    message = f"{provider.name} answered with HTTP status {status}" + (f": {said}" if said else "")
    if kind is ModelAuthentication:
        message += f" (the key is taken from {provider.variable})"
    return kind(message, detail=said or None, retry_after=_retry_after(headers or {}))


def from_body(provider: Provider, body: dict[str, Any]) -> ModelError:
    """The error in a body that came with status 200."""
    error = body["error"]
    status = error.get("code") if isinstance(error, dict) else None
    return from_status(provider, status if isinstance(status, int) else 500, body)


def from_exception(provider: Provider, error: BaseException) -> ModelError:
    """The error of a call that got no answer."""
    while error.__cause__ is not None and not isinstance(error, TimeoutError):
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return ModelTimeout(f"{provider.name} did not answer in time")
    reason = hide_keys(str(error) or type(error).__name__, provider)[:LONGEST_DETAIL]
    return ModelError(f"The connection to {provider.name} at {provider.base_url} failed: {reason}")


def hide_keys(text: str, provider: Provider) -> str:
    """The text without anything that is or looks like a key."""
    if provider.api_key and provider.api_key.get_secret_value():
        text = text.replace(provider.api_key.get_secret_value(), "[key]")
    return _KEY.sub("[key]", text)


def _kind(status: int, said: str) -> type[ModelError]:
    if status == 402 or _CREDITS.search(said):
        return ModelInsufficientCredits
    if status in (401, 403):
        return ModelAuthentication
    if status == 429:
        return ModelRateLimit
    if status in (408, 504):
        return ModelTimeout
    if _CONTEXT.search(said):
        return ContextWindowExceeded
    return ModelBadRequest if 400 <= status < 500 else ModelError


def _said(body: object) -> tuple[str, str]:
    """The code and the words in an error body, of which every provider has its own form."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return "", re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).strip() if isinstance(body, str) else ""
    error = body.get("error", body)
    if not isinstance(error, dict):
        return "", str(error)
    words = error.get("message") or error.get("detail") or error.get("msg") or ""
    return f"{error.get('code') or ''} {error.get('type') or ''}", str(words)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        return max(0.0, float(headers["retry-after"])) if "retry-after" in headers else None
    except ValueError:
        return None
