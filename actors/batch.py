"""Many small calls as few large ones.

A call to a Ray actor costs about a millisecond of processor time on each side, whatever it carries.
A batch forms by itself while the calls before it are under way, so a lone item waits for nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Sends items in their order, in batches.

    Args:
        send: makes one call for a batch; returns one result or exception for each item.
        size: items in a batch, at most.
        calls: calls under way at once, at most.
    """

    def __init__(
        self,
        send: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        size: int = 256,
        calls: int = 2,
    ) -> None:
        self._send = send
        self._size = size
        self._idle = calls
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, item: Item) -> asyncio.Future[Result]:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._idle:
            self._idle -= 1
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                count = min(self._size, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                results: Sequence[Any]
                try:
                    results = await self._send([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 - who waits for the items raises it
                    results = [error] * count
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._idle += 1
