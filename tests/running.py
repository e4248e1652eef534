"""Real processes for tests: a scripted model behind HTTP and a server that uses it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 60
READY = re.compile(r"Ready on (http://\S+)")
COMMAND = [sys.executable, "-c", "from server.cli import main; main()"]
ROOT = Path(__file__).parent.parent


@dataclass
class Running:
    """A process that says on which address it is ready."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def running(*arguments: str, log: Path, env: dict[str, str] | None = None) -> Iterator[Running]:
    """Run ``greenroom`` with these arguments until the block ends.

    Args:
        arguments: of the command line.
        log: file for its output.
        env: further environment variables; settings and keys of the caller's own are taken out.
    """
    outside = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**outside, "PYTHONPATH": str(ROOT), **(env or {})},
            start_new_session=True,
        )
    try:
        yield Running(_wait_until_ready(process, log), process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _is_setting(name: str) -> bool:
    return name.startswith("GREENROOM_") or name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE"))


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if ready := READY.search(log.read_text()):
            return ready[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"It did not start:\n{log.read_text()}")
