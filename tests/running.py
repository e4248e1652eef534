"""Real processes for tests: a scripted model behind HTTP and a server that uses it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60
STOP_SECONDS = 60
END_SECONDS = 30
READY = re.compile(r"Ready on (http://\S+)")
COMMAND = [sys.executable, "-c", "from server.cli import main; main()"]
ROOT = Path(__file__).parent.parent
TITLES = {"host": "ray::Host", "shard": "ray::ShardActor"}


@dataclass
class Running:
    """A process that says on which address it is ready, and those it has started."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    tmp: Path
    """The directory for temporary files that all its processes share."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def processes(self) -> list[psutil.Process]:
        """All processes that belong to it, also those whose parents are gone."""
        return processes_of(self.tmp)

    def kill9(self, *kinds: str) -> None:
        """Kill processes: ``server``, ``host``, ``shard`` (all that there are) or ``everything``."""
        if "server" in kinds or "everything" in kinds:
            self.process.kill()
        for each in self.processes():
            title = _title(each)
            if "everything" in kinds or any(title.startswith(TITLES.get(kind, " ")) for kind in kinds):
                _kill(each)
        if self.process.poll() is None and ("server" in kinds or "everything" in kinds):
            self.process.wait()

    def stop(self, *, group: bool = False) -> int:
        """Press Ctrl-C and wait; answers the exit code.

        Args:
            group: the whole process group gets the signal, as from a terminal.
        """
        if group:
            os.killpg(self.pid, signal.SIGINT)
        else:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running(
    *arguments: str, log: Path, env: dict[str, str] | None = None, tmp: Path | None = None
) -> Iterator[Running]:
    """Run ``greenroom`` with these arguments until the block ends. Nothing of it remains.

    Args:
        arguments: of the command line.
        log: file for its output.
        env: further environment variables; settings and keys of the caller's own are taken out.
        tmp: directory for its temporary files, if another process is to have the same.
    """
    with tmp_directory() if tmp is None else _given(tmp) as directory:
        process = start(*arguments, log=log, env=env, tmp=directory)
        try:
            yield Running(wait_until_ready(process, log), process, log, directory)
        finally:
            end(process)


@contextmanager
def tmp_directory() -> Iterator[Path]:
    """A directory for the temporary files of processes. When the block ends, they are ended and it is
    removed."""
    # Not one of pytest's: Ray makes sockets below it, and their paths must be short.
    directory = Path(tempfile.mkdtemp(prefix="gr"))
    try:
        yield directory
    finally:
        end_all(directory)
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _given(tmp: Path) -> Iterator[Path]:
    yield tmp


def start(
    *arguments: str, log: Path, env: dict[str, str] | None = None, tmp: Path
) -> "subprocess.Popen[bytes]":
    """Start ``greenroom`` with these arguments; see :func:`running`."""
    outside = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    with log.open("wb") as output:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**outside, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp), **(env or {})},
            start_new_session=True,
        )


def wait_until_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """The address that a started process is ready on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready := READY.search(log.read_text()):
            return ready[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"It did not start:\n{log.read_text()}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C, or more if that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def processes_of(tmp: Path) -> list[psutil.Process]:
    """The processes that keep their temporary files in a directory."""
    return [process for process in psutil.process_iter() if _belongs(process, tmp)]


def end_all(tmp: Path) -> None:
    """Kill what is left of the processes of a directory, until there are none: Ray's own ones outlive
    a killed server for some seconds."""
    deadline = time.monotonic() + END_SECONDS
    while left := processes_of(tmp):
        for process in left:
            _kill(process)
        if time.monotonic() > deadline:
            raise AssertionError(f"These do not end: {left}")
        time.sleep(0.05)


def _belongs(process: psutil.Process, tmp: Path) -> bool:
    # Told by the environment, or by the log that it writes: Ray's workers overwrite the former.
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.environ().get("TMPDIR") == str(tmp):
            return True
        handles = Path(f"/proc/{process.pid}/fd")
        return any(str(each.readlink()).startswith(f"{tmp}/") for each in list(handles.iterdir()))
    except (psutil.Error, OSError):
        return False


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def _is_setting(name: str) -> bool:
    return name.startswith("GREENROOM_") or name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE"))
