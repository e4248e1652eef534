"""A server's line to one host: operations go out in batches, replies of all its agents come back
in batches from one outstanding call."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import ray

from actors.batch import Batcher
from actors.protocol import ANNOUNCEMENT, Done, Event, Operation, Reply
from storage.records import Block

_numbers = itertools.count(1)


class HostLost(Exception):
    """The host died; what it was doing may or may not be in the store."""


class Channel:
    """The line to one host.

    Args:
        host: handle of the host's actor.
        restore: called when the host was lost and Ray has started it again, before anything else
            is sent to it. What it raises ends the channel.
        on_block: called with the new version of a shared block that one of the host's agents
            committed; the run that did it is answered after that.
    """

    def __init__(
        self,
        host: Any,
        restore: Callable[["Channel"], Awaitable[None]],
        on_block: Callable[["Channel", Block], Awaitable[None]],
    ) -> None:
        self.host = host
        self._restore = restore
        self._on_block = on_block
        self._deliver: Batcher[Operation, None] = Batcher(self._send)
        self._open: dict[int, asyncio.Queue[Reply | HostLost]] = {}
        self._ready = asyncio.Event()
        self._ready.set()
        self._collector = asyncio.create_task(self._collect())

    @property
    def in_flight(self) -> int:
        return len(self._open)

    async def ask(
        self, kind: Any, agent_id: str, payload: Any = None, *, again: bool = False
    ) -> AsyncIterator[Event | Done]:
        """Give the host an operation and yield what comes back, up to the last reply.

        Raises:
            HostLost: the host died before its last reply.
        """
        operation = Operation(next(_numbers), kind, agent_id, payload, again)
        replies: asyncio.Queue[Reply | HostLost] = asyncio.Queue()
        self._open[operation.id] = replies
        try:
            await self._ready.wait()
            self._deliver(operation).add_done_callback(_collected_elsewhere)
            while True:
                reply = await replies.get()
                if isinstance(reply, HostLost):
                    raise reply
                yield reply.event
                if reply.last:
                    return
        finally:
            del self._open[operation.id]

    async def close(self) -> None:
        self._collector.cancel()
        await asyncio.gather(self._collector, return_exceptions=True)
        self._fail()

    async def _send(self, operations: list[Operation]) -> list[None]:
        await self.host.deliver.remote(operations)
        return [None] * len(operations)

    async def _collect(self) -> None:
        while True:
            try:
                for reply in await self.host.collect.remote():
                    await self._dispatch(reply)
            except ray.exceptions.RayActorError:
                self._ready.clear()
                self._fail()
                await self._restore(self)
                self._ready.set()

    async def _dispatch(self, reply: Reply) -> None:
        if reply.operation == ANNOUNCEMENT:
            assert isinstance(reply.event, Done)
            await self._on_block(self, reply.event.value)
        elif replies := self._open.get(reply.operation):
            replies.put_nowait(reply)

    def _fail(self) -> None:
        for replies in self._open.values():
            replies.put_nowait(HostLost())


def _collected_elsewhere(delivered: asyncio.Future[None]) -> None:
    # A host that dies fails the collecting call too, and that one ends every operation.
    delivered.cancelled() or delivered.exception()
