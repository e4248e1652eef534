"""The processes that are measured: started, watched while they run, and ended whatever happens."""

import asyncio
import os
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

GREENROOM = Path(sys.executable).with_name("greenroom")
START_SECONDS = 120
STOP_SECONDS = 40
LINES_OF_LOG = 40
READY = "Ready on "


class DidNotStart(Exception):
    """A process ended, or said nothing for too long, before it was ready."""


class Command:
    """A command of Greenroom's, running in a session of its own with everything it starts.

    Args:
        arguments: after ``greenroom``; the command has to print a line that begins with ``READY``.
        env: its environment.
    """

    url: str
    """Where it listens."""
    pid: int
    start_seconds: float

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        self._arguments = arguments
        self._env = env
        self._log: deque[str] = deque(maxlen=LINES_OF_LOG)

    async def __aenter__(self) -> Self:
        began = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            GREENROOM,
            *self._arguments,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        try:
            self.url = await asyncio.wait_for(self._ready, START_SECONDS)
        except BaseException:
            await self._stop()
            raise
        self.start_seconds = time.perf_counter() - began
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def processes(self) -> list[psutil.Process]:
        """The command's process, everything below it, and what was below it and lost its parent."""
        found = set()
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
                if os.getsid(pid) == self.pid:
                    found.add(psutil.Process(pid))
        with suppress(psutil.NoSuchProcess):
            found.update(psutil.Process(self.pid).children(recursive=True))
        return sorted(found, key=lambda process: process.pid)

    async def _read(self) -> None:
        assert self._process.stderr
        async for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._log.append(text)
            if text.startswith(READY) and not self._ready.done():
                self._ready.set_result(text.split()[2])
        if not self._ready.done():
            self._ready.set_exception(DidNotStart("\n".join(self._log)))

    async def _stop(self) -> None:
        mine = self.processes()
        try:
            if self._process.returncode is None:
                self._process.send_signal(signal.SIGINT)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        finally:
            for process in {*mine, *self.processes()}:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._reader.cancel()
        await self._process.wait()
