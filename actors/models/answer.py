"""Reading a provider's answer, whole or in pieces, however sloppy the provider is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import orjson

from actors.models.errors import ModelEmptyResponse, ModelError
from actors.models.failures import from_body
from actors.models.providers import Provider
from actors.models.request import Completion, ModelDelta
from actors.models.tokens import estimate
from storage.records import ToolCall, Usage

OnDelta = Callable[[ModelDelta], None]


LONGEST_LINE = 4 * 2**20


class Pieces:
    """An answer that is put together from its pieces.

    Args:
        provider: who answers, for errors.
        on_delta: is told each piece.
    """

    def __init__(self, provider: Provider, on_delta: OnDelta | None = None) -> None:
        self._provider = provider
        self._on_delta = on_delta
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._signature: str | None = None
        self._calls: list[_Call] = []
        self._finish_reason = ""
        self._usage: dict[str, Any] = {}
        self._id = ""
        self._buffer = b""
        self._answered = False
        self._done = False
        self.begun = False
        """Whether ``on_delta`` has been told anything."""

    def whole(self, data: bytes) -> None:
        """Take an answer that came in one piece."""
        self._add(_load(data, self._provider), "message")
        self._done = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes of an event stream."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST_LINE:
            raise ModelError(f"{self._provider.name} sent an event without an end")
        for line in lines:
            payload = line[5:].strip() if line.startswith(b"data:") else b""
            if payload == b"[DONE]":
                self._done = True
            elif payload:
                self._add(_load(payload, self._provider), "delta")

    def finish(self, prompt_tokens: Callable[[], int]) -> Completion:
        """The whole answer.

        Args:
            prompt_tokens: estimates the prompt's size, in case the provider does not tell.

        Raises:
            ModelEmptyResponse: there was none.
            ModelError: it ended in the middle.
        """
        if self._buffer:
            self.feed(b"\n")
        if not self._answered:
            raise ModelEmptyResponse(f"{self._provider.name} answered with nothing")
        if not (self._done or self._finish_reason):
            raise ModelError(f"{self._provider.name} ended its answer in the middle")
        reason = self._finish_reason or "stop"
        completion = Completion(
            text="".join(self._text) or None,
            reasoning="".join(self._reasoning) or None,
            reasoning_signature=self._signature,
            tool_calls=[
                ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments) or "{}")
                for call in self._calls
            ],
            finish_reason="tool_calls" if reason == "function_call" else reason,
            response_id=self._id,
        )
        completion.usage = _usage(self._usage, completion, prompt_tokens)
        return completion

    def _add(self, chunk: Any, key: str) -> None:
        chunk = _object(chunk)
        if chunk.get("error"):
            raise from_body(self._provider, chunk)
        self._id = self._id or str(chunk.get("id") or "")
        self._usage = _object(chunk.get("usage")) or self._usage
        for choice in map(_object, _list(chunk.get("choices"))[:1]):
            self._answered = True
            self._finish_reason = str(choice.get("finish_reason") or "") or self._finish_reason
            self._take(_object(choice.get(key)))

    def _take(self, piece: dict[str, Any]) -> None:
        self._tell(self._reasoning, "reasoning", piece.get("reasoning_content") or piece.get("reasoning"))
        content = piece.get("content")
        self._tell(self._text, "text", content)
        for part in map(_object, _list(content)):
            self._tell(self._text, "text", part.get("text"))
            for thought in map(_object, _list(part.get("thinking"))):
                self._tell(self._reasoning, "reasoning", thought.get("text"))
            self._signature = part.get("signature") or self._signature
        self._tell(self._text, "text", piece.get("refusal"))
        for position, call in enumerate(map(_object, _list(piece.get("tool_calls")))):
            self._take_call(call, position)

    def _take_call(self, piece: dict[str, Any], position: int) -> None:
        function = _object(piece.get("function"))
        number = piece.get("index")
        number = position if number is None else number
        identifier = str(piece.get("id") or "")
        index = self._find_call(number, identifier)
        delta = ModelDelta("tool_call", _arguments(function.get("arguments")))
        if index is None:
            taken = not identifier or any(call.id == identifier for call in self._calls)
            made = f"call_{uuid4().hex[:24]}" if taken else identifier
            call = _Call(number, identifier, made, str(function.get("name") or ""))
            index = len(self._calls)
            self._calls.append(call)
            delta.tool_call_id, delta.tool_name = call.id, call.name
        delta.index = index
        self._calls[index].arguments.append(delta.text)
        if self._on_delta and (delta.text or delta.tool_call_id):
            self.begun = True
            self._on_delta(delta)

    def _find_call(self, number: Any, identifier: str) -> int | None:
        # Some servers number every call 0 or not at all; then a new id starts a new call.
        for index, call in enumerate(self._calls):
            if call.number == number and identifier in ("", call.given):
                return index
        return None

    def _tell(self, into: list[str], kind: Literal["text", "reasoning"], text: object) -> None:
        if isinstance(text, str) and text:
            into.append(text)
            if self._on_delta:
                self.begun = True
                self._on_delta(ModelDelta(kind, text))


@dataclass(slots=True)
class _Call:
    number: Any
    given: str
    """The id that the provider gave, which may be none or one that another call has already."""
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _arguments(value: object) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if value else ""


def _load(data: bytes, provider: Provider) -> Any:
    if not data.strip():
        raise ModelEmptyResponse(f"{provider.name} answered with an empty body")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ModelError(f"{provider.name} answered with something that is no JSON") from None


def _usage(told: dict[str, Any], completion: Completion, prompt_tokens: Callable[[], int]) -> Usage:
    def number(*path: str) -> int:
        value: Any = told
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, int) else 0

    prompt, written = number("prompt_tokens"), number("completion_tokens")
    if not prompt and not written:
        prompt, written = prompt_tokens(), sum(map(estimate, _written(completion)))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=written,
        total_tokens=number("total_tokens") or prompt + written,
        cached_input_tokens=number("prompt_tokens_details", "cached_tokens")
        or number("prompt_cache_hit_tokens"),
        reasoning_tokens=number("completion_tokens_details", "reasoning_tokens"),
    )


def _written(completion: Completion) -> Iterator[str]:
    yield completion.text or ""
    yield completion.reasoning or ""
    for call in completion.tool_calls:
        yield call.name + call.arguments


def parse_vectors(data: bytes, provider: Provider, count: int) -> list[list[float]]:
    """Read the answer to a request for ``count`` embeddings.

    Raises:
        ModelError: it does not hold that many vectors.
    """
    body = _object(_load(data, provider))
    if body.get("error"):
        raise from_body(provider, body)
    rows = sorted(map(_object, _list(body.get("data"))), key=lambda row: int(row.get("index", 0)))
    vectors = [row["embedding"] for row in rows if _list(row.get("embedding"))]
    if len(vectors) != count:
        raise ModelError(f"{provider.name} did not answer with {count} embeddings")
    return vectors
