"""What was read last, kept in memory up to a number of bytes."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Holds the values that were used last. Safe for several threads.

    Whoever replaces what a value was read from drops the value, and whoever puts one in makes sure
    that nothing was replaced while it was read.

    Args:
        limit: bytes that the values may take, as their owner counts them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Value | None:
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: str, value: Value, size: int) -> None:
        with self._lock:
            self._drop(key)
            self._values[key] = value, size
            self._bytes += size
            while self._bytes > self._limit:
                self._drop(next(iter(self._values)))

    def drop(self, key: str) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: str) -> None:
        _, size = self._values.pop(key, (None, 0))
        self._bytes -= size
