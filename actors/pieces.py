"""A message while the model is still writing it."""

import time
from collections.abc import Callable

from actors.models import ModelDelta
from actors.protocol import Delta
from storage.records import Message


class Pieces:
    """Takes the model's deltas and tells them on as pieces of one message.

    Args:
        message: the message being written; only its ids and time are used.
        tell: takes each piece.
    """

    def __init__(self, message: Message, tell: Callable[[Delta], None]) -> None:
        self._message = message
        self._tell = tell
        self._started = time.perf_counter_ns()
        self._kinds: list[str] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self.first_ns: int | None = None
        """When the first piece came, in nanoseconds from the start."""

    @property
    def any(self) -> bool:
        return bool(self._kinds)

    def __call__(self, delta: ModelDelta) -> None:
        if self.first_ns is None:
            self.first_ns = time.perf_counter_ns() - self._started
        if delta.kind not in self._kinds:
            self._kinds.append(delta.kind)
        if delta.kind == "text":
            self._text.append(delta.text)
        elif delta.kind == "reasoning":
            self._reasoning.append(delta.text)
        self._tell(
            Delta(
                message_id=self._message.id,
                created_at=self._message.created_at,
                step_id=self._message.step_id or "",
                index=self._kinds.index(delta.kind),
                kind=delta.kind,
                text=delta.text,
                tool_call_id=delta.tool_call_id,
                tool_name=delta.tool_name,
            )
        )

    def partial(self) -> list[Message]:
        """What the user saw of an answer that was broken off: its words, without tool calls."""
        if not self._text:
            return []
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        return [self._message.model_copy(update={"content": text, "reasoning": reasoning or None})]
