"""Where and with what a run was made: enough to compare two of them, nothing that names a machine."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
LIBRARIES = ("ray", "duckdb", "aiohttp", "openai", "orjson", "pydantic", "uvloop")


def facts(temporary: Path) -> dict[str, str]:
    """Facts by name.

    Args:
        temporary: directory that the servers' data is in.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.system(),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "file system": _file_system(temporary),
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD") or "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{commit} with changes" if changed else commit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _file_system(directory: Path) -> str:
    """Kind of the file system: on one in memory, a commit costs nothing."""
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    above = (mounts[each] for each in (directory.resolve(), *directory.resolve().parents) if each in mounts)
    return next(above, "unknown")
