"""Reading a provider's answer, whole or in pieces, however sloppy the provider is."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import orjson

from actors.models.errors import ModelEmptyResponse, ModelError
from actors.models.failures import from_body
from actors.models.providers import Provider
from actors.models.request import Completion, ModelDelta
from actors.models.tokens import estimate
from storage.records import ToolCall, Usage

OnDelta = Callable[[ModelDelta], None]


def parse(data: bytes, provider: Provider, prompt_tokens: Callable[[], int]) -> Completion:
    """Read an answer that came in one piece.

    Args:
        data: body of the response.
        provider: who answered, for errors.
        prompt_tokens: estimates the prompt's size, in case the provider does not tell.

    Raises:
        ModelError: there is no answer in it.
    """
    pieces = Pieces(provider)
    pieces.add(_load(data, provider), "message")
    return pieces.finish(prompt_tokens)


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
        self._calls: list[dict[str, Any]] = []
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._id = ""
        self._buffer = b""
        self._answered = False
        self._done = False
        self.begun = False
        """Whether ``on_delta`` has been told anything."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of an event stream."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            payload = line[5:].strip() if line.startswith(b"data:") else b""
            if payload == b"[DONE]":
                self._done = True
            elif payload:
                self.add(_load(payload, self._provider), "delta")

    def end(self) -> None:
        """The stream has ended.

        Raises:
            ModelError: it ended in the middle of the answer.
        """
        if self._buffer.strip():
            self.feed(b"\n")
        if not (self._done or self._finish_reason):
            kind = ModelError if self._answered else ModelEmptyResponse
            raise kind(f"{self._provider.name} ended its answer in the middle")

    def add(self, chunk: Any, key: str) -> None:
        """Take one chunk of a stream (``delta``) or a whole answer (``message``)."""
        if not isinstance(chunk, dict):
            raise ModelError(f"{self._provider.name} sent an answer of the wrong form")
        if chunk.get("error"):
            raise from_body(self._provider, chunk)
        self._id = self._id or str(chunk.get("id") or "")
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for choice in (chunk.get("choices") or ())[:1]:
            self._answered = True
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._take(choice.get(key) or {})

    def finish(self, prompt_tokens: Callable[[], int]) -> Completion:
        """The whole answer.

        Raises:
            ModelEmptyResponse: there was none.
        """
        if not self._answered:
            raise ModelEmptyResponse(f"{self._provider.name} answered with nothing")
        calls = [
            ToolCall(id=call["id"], name=call["name"], arguments="".join(call["arguments"]) or "{}")
            for call in self._calls
        ]
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        reason = self._finish_reason or "stop"
        completion = Completion(
            text=text or None,
            reasoning=reasoning or None,
            reasoning_signature=self._signature,
            tool_calls=calls,
            finish_reason="tool_calls" if reason == "function_call" else reason,
            response_id=self._id,
        )
        completion.usage = _usage(self._usage or {}, completion, prompt_tokens)
        return completion

    def _take(self, piece: dict[str, Any]) -> None:
        reasoning = piece.get("reasoning_content") or piece.get("reasoning")
        if isinstance(reasoning, str):
            self._tell(self._reasoning, ModelDelta("reasoning", reasoning))
        content = piece.get("content")
        parts: list[dict[str, Any]] = [{"text": content}] if isinstance(content, str) else content or []
        for part in parts:
            if part.get("type") == "thinking":
                for thought in part.get("thinking") or ():
                    self._tell(self._reasoning, ModelDelta("reasoning", thought.get("text") or ""))
                self._signature = part.get("signature") or self._signature
            elif part.get("text"):
                self._tell(self._text, ModelDelta("text", part["text"]))
        if piece.get("refusal"):
            self._tell(self._text, ModelDelta("text", piece["refusal"]))
        for position, call in enumerate(piece.get("tool_calls") or ()):
            self._take_call(call, position)

    def _take_call(self, piece: dict[str, Any], position: int) -> None:
        function = piece.get("function") or {}
        index = self._find_call(piece, function, position)
        call = self._calls[index]
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        if not call["told"]:
            call["told"] = True
            self._tell(call["arguments"], ModelDelta("tool_call", arguments, index, call["id"], call["name"]))
        elif arguments:
            self._tell(call["arguments"], ModelDelta("tool_call", arguments, index))

    def _find_call(self, piece: dict[str, Any], function: dict[str, Any], position: int) -> int:
        # Some servers number every call 0 or not at all; then a new id starts a new call.
        number = piece.get("index")
        identifier, name = piece.get("id"), function.get("name")
        for index, call in enumerate(self._calls):
            same = call["number"] == (position if number is None else number)
            if same and (not identifier or identifier == call["given"]):
                return index
        self._calls.append(
            {
                "number": position if number is None else number,
                "given": identifier,
                "id": identifier or f"call_{uuid4().hex[:24]}",
                "name": name or "",
                "arguments": [],
                "told": False,
            }
        )
        return len(self._calls) - 1

    def _tell(self, into: list[str], delta: ModelDelta) -> None:
        into.append(delta.text)
        if self._on_delta and (delta.text or delta.tool_call_id):
            self.begun = True
            self._on_delta(delta)


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
    body = _load(data, provider)
    if isinstance(body, dict) and body.get("error"):
        raise from_body(provider, body)
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) != count:
        raise ModelError(f"{provider.name} did not answer with {count} embeddings")
    return [row["embedding"] for row in sorted(rows, key=lambda row: int(row["index"]))]
