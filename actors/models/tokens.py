"""How long a text is in tokens: exactly where tiktoken's vocabulary is at hand, else estimated.

tiktoken downloads its vocabularies. Greenroom never does: it uses a file that is already in
tiktoken's cache (``TIKTOKEN_CACHE_DIR``), loads it once in the background, and estimates until then.
"""

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import tiktoken

logger = logging.getLogger(__name__)

LONGEST_EXACT = 50_000
"""Characters. Beyond it a text is estimated: tiktoken takes seconds over a megabyte of one letter."""
IMAGE_TOKENS = 1_000
MESSAGE_OVERHEAD = 4

_encodings: dict[str, "tiktoken.Encoding | None"] = {}
_lock = threading.Lock()


def count(text: str, model: str = "") -> int:
    """Tokens of a text; see :func:`is_exact` for whether this is an estimate."""
    if len(text) > LONGEST_EXACT:
        return estimate(text)
    encoding = _encoding(_encoding_name(model))
    return len(encoding.encode_ordinary(text)) if encoding else estimate(text)


def is_exact(model: str = "") -> bool:
    """Whether :func:`count` counts with the model's vocabulary rather than estimates."""
    return _encoding(_encoding_name(model)) is not None


def estimate(text: str) -> int:
    """About four bytes a token: close for English prose, a little high for other scripts."""
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return (size + 3) // 4


def estimate_prompt(messages: Iterable[Mapping[str, Any]], tools: list[dict[str, Any]]) -> int:
    """Estimated tokens of a whole chat-completions prompt with its function schemas."""
    total = (len(orjson.dumps(tools)) + 3) // 4 if tools else 0
    for message in messages:
        total += MESSAGE_OVERHEAD
        content = message.get("content")
        if isinstance(content, str):
            total += estimate(content)
        elif content:
            total += sum(
                estimate(part["text"]) if part.get("type") == "text" else IMAGE_TOKENS for part in content
            )
        for call in message.get("tool_calls") or ():
            total += estimate(call["function"]["name"]) + estimate(call["function"]["arguments"])
    return total


def _encoding_name(model: str) -> str:
    older = model.startswith(("gpt-4", "gpt-3.5")) and not model.startswith(("gpt-4o", "gpt-4.1", "gpt-4.5"))
    return "cl100k_base" if older else "o200k_base"


def _encoding(name: str) -> "tiktoken.Encoding | None":
    if name not in _encodings:
        with _lock:
            if name not in _encodings:
                _encodings[name] = None
                if _cached_file(name).is_file():
                    threading.Thread(target=_load, args=(name,), name="tiktoken", daemon=True).start()
    return _encodings[name]


def _cached_file(name: str) -> Path:
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    directory = os.environ.get("TIKTOKEN_CACHE_DIR") or Path(tempfile.gettempdir(), "data-gym-cache")
    return Path(directory, hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest())


def _load(name: str) -> None:
    try:
        import tiktoken  # noqa: PLC0415

        _encodings[name] = tiktoken.get_encoding(name)
    except Exception as error:  # noqa: BLE001
        logger.warning("tokens are estimated: tiktoken cannot load %s: %s", name, error)
