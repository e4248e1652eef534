"""A server's line to one host: operations go out in batches, replies of all its agents come back
in batches from one outstanding call."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import ray

from actors.batch import Batcher
from actors.protocol import Announcement, Done, Event, Operation, Reply
from storage.errors import GreenroomError, Unavailable

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
RESTART_SECONDS = 60.0
"""How long operations wait for a host that Ray is starting again."""

_numbers = itertools.count(1)


class HostLost(Exception):
    """The host died; what it was doing may or may not be in the store."""


class Channel:
    """The line to one host.

    Args:
        host: handle of the host's actor.
        hand_over: gives the host what is its own, before anything else is sent to it; called when it
            was started or started again, until it succeeds.
        announce: passes on what one of the host's runs has to tell others; the run is answered
            when that is done.
        on_return: told when a host that was lost is back.
    """

    def __init__(
        self,
        host: Any,
        hand_over: Callable[["Channel"], Awaitable[None]],
        announce: Callable[["Channel", Announcement], Coroutine[Any, Any, None]],
        on_return: Callable[[], None],
    ) -> None:
        self.host = host
        self._hand_over = hand_over
        self._announce = announce
        self._on_return = on_return
        self._deliver: Batcher[Operation, None] = Batcher(self._send)
        self._open: dict[int, asyncio.Queue[Reply | Exception | asyncio.Task[None]]] = {}
        self._announcements: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the host dies; then there is another for its successor."""
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
            Unavailable: the host died, and has not come back for long.
        """
        operation = Operation(next(_numbers), kind, agent_id, payload, again)
        replies: asyncio.Queue[Reply | Exception | asyncio.Task[None]] = asyncio.Queue()
        if not self._ready.is_set():
            await self.ready()
        self._open[operation.id] = replies
        lost = self._lost
        try:
            self._deliver(operation).add_done_callback(partial(_delivered, replies))
            while True:
                reply = await replies.get()
                if isinstance(reply, Exception):
                    raise reply
                if isinstance(reply, asyncio.Task):
                    # Not when the host is lost: others may wait behind this operation.
                    await asyncio.wait({reply, lost}, return_when=asyncio.FIRST_COMPLETED)
                    continue
                assert not isinstance(reply.event, Announcement)
                yield reply.event
                if reply.last:
                    return
        finally:
            self._open.pop(operation.id, None)

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    async def ready(self) -> None:
        """Wait for the host to be there. Raises Unavailable after some time."""
        try:
            await asyncio.wait_for(self._ready.wait(), RESTART_SECONDS)
        except TimeoutError:
            raise Unavailable("The agent's host is down; see the server's log.") from None

    async def drain(self, seconds: float) -> None:
        """Let the host's running work finish for this long, then cancel it; returns when all of it
        has been answered."""
        if self._ready.is_set():
            with suppress(HostLost):
                async for _ in self.ask("drain", "", seconds):
                    pass

    async def close(self) -> None:
        self._collector.cancel()
        await asyncio.gather(self._collector, return_exceptions=True)
        self._fail()

    async def _send(self, operations: list[Operation]) -> list[None]:
        await self.host.deliver.remote(operations)
        return [None] * len(operations)

    async def _collect(self) -> None:
        await self._begin()
        while True:
            try:
                replies = await self.host.collect.remote()
            except ray.exceptions.RayActorError:
                replies = None
            except Exception:
                log.exception("Replies of a host cannot be read")
                self._fail()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if replies is None:
                self._ready.clear()
                self._fail()
                await self._begin()
                self._on_return()
            else:
                for reply in replies:
                    self._dispatch(reply)

    async def _begin(self) -> None:
        while not self._ready.is_set():
            try:
                await self._hand_over(self)
                self._ready.set()
            except (ray.exceptions.RayActorError, GreenroomError) as error:
                # It died again meanwhile, or a shard did.
                log.warning("A host cannot be used yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _dispatch(self, reply: Reply) -> None:
        replies = self._open.get(reply.operation)
        if isinstance(reply.event, Announcement):
            # Also done when nobody waits for the run any more.
            task = asyncio.create_task(self._announce(self, reply.event))
            self._announcements.add(task)
            task.add_done_callback(self._announcements.discard)
            if replies:
                replies.put_nowait(task)
        elif replies:
            replies.put_nowait(reply)
        if reply.last:
            self._open.pop(reply.operation, None)

    def _fail(self) -> None:
        self._lost.set_result(None)
        self._lost = asyncio.get_running_loop().create_future()
        for replies in self._open.values():
            replies.put_nowait(HostLost())


def _delivered(
    replies: asyncio.Queue[Reply | Exception | asyncio.Task[None]], delivered: asyncio.Future[None]
) -> None:
    if delivered.cancelled() or (error := delivered.exception()) is None:
        return
    assert isinstance(error, Exception)
    # A host that dies fails the collecting call too, and that one ends every operation: were this told
    # here, they would be sent again and again while the host is still being started.
    if not isinstance(error, ray.exceptions.RayActorError):
        replies.put_nowait(error)
