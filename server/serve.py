"""Running the server: from nothing to answering requests, and back in order."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from types import FrameType
from typing import Any

import uvloop
from aiohttp import web

from server.app import create_app
from server.data_directory import DirectoryLock, shard_files
from server.settings import Settings
from server.version import VERSION
from storage.errors import GreenroomError, Unavailable

BACKLOG = 1024
CLOSE_SECONDS = 15
"""What closing may take beyond the time that running steps have."""

Say = Callable[[str], None]


class CannotListen(GreenroomError):
    """The address to listen on cannot be had."""

    code = "cannot_listen"


def serve(settings: Settings, say: Say) -> None:
    """Serve until a signal comes, then let running steps finish.

    Args:
        say: tells the user what is going on, a line at a time.

    Raises:
        GreenroomError: why the server cannot run.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    with DirectoryLock(settings.data) as lock, bind(settings.host, settings.port) as listener:
        url = url_of(settings.host, listener)
        lock.announce(url)
        say(f"Greenroom {VERSION}, data in {settings.data}")
        run(_serve(_with_the_shards_there_are(settings), listener, url, say))
    say("Stopped; everything is saved")


def _with_the_shards_there_are(settings: Settings) -> Settings:
    """The number of shards is fixed with the first start; the default depends on the machine."""
    there = len(shard_files(settings.data))
    if not there or "shards" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"shards": there})


def bind(host: str, port: int) -> socket.socket:
    """Take the address; connections come in once something listens on it.

    Raises:
        CannotListen: somebody else has it, or this machine does not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"Port {port} on {host} is taken. Stop the program that has it, or choose another: --port."
            ) from None
        raise CannotListen(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """Where clients find the server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program's coroutine on the fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


class Stop:
    """Waits for SIGINT or SIGTERM. The second of them ends the process at once."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.listen()

    def listen(self) -> None:
        """Take the signals, also back from a library that took them."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.requested.is_set():
            os._exit(128 + number)
        self.requested.set()
        self._loop.call_soon_threadsafe(lambda: None)  # wakes the loop up

    async def unless(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that a signal cancels; tells whether it was done."""
        task = asyncio.ensure_future(work)
        signalled = asyncio.ensure_future(self.requested.wait())
        await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if task.done():
            task.result()
            return True
        task.cancel()
        await asyncio.wait({task})
        return False


async def _serve(settings: Settings, listener: socket.socket, url: str, say: Say) -> None:
    # These import Ray, which takes a second: simple mistakes are told before.
    from actors.fleet import Fleet  # noqa: PLC0415
    from actors.models import Catalog, providers_from_environment  # noqa: PLC0415

    stop = Stop()
    providers = providers_from_environment(os.environ)
    fleet = Fleet(settings, providers)
    app = create_app(settings, fleet, Catalog(providers))
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    async with AsyncExitStack() as ending:
        await runner.setup()
        ending.push_async_callback(runner.cleanup)
        ending.push_async_callback(_close, fleet, settings.drain_seconds + CLOSE_SECONDS)
        if not await stop.unless(_start(fleet, say)):
            say("Stopping")
            return
        stop.listen()
        site = web.SockSite(runner, listener, backlog=BACKLOG)
        await site.start()
        say(f"Ready on {url} (the API is described on {url}/docs; Ctrl-C stops the server)")
        await stop.requested.wait()
        say(f"Stopping: running steps have {settings.drain_seconds:g} s to finish (Ctrl-C again: none)")
        await site.stop()


async def _start(fleet: Any, say: Say) -> None:
    try:
        await fleet.start(say)
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise Unavailable(f"Ray did not start: {reason} (`greenroom doctor` looks closer)") from error


async def _close(fleet: Any, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await fleet.close()
    except TimeoutError:
        raise Unavailable(
            f"Not everything stopped within {seconds:g} s. What was acknowledged is saved."
        ) from None
