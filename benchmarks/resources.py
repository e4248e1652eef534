"""What processes use: memory of a whole tree, and CPU time by the part a process plays."""

import os
from collections import Counter, defaultdict
from contextlib import suppress

import psutil

from benchmarks.server import Command

ROLES = ("load", "server", "hosts", "shards", "Ray", "model")


def memory(server: Command) -> dict[str, int]:
    """Bytes of memory by role. Shared pages count in parts (PSS), so that the sum is what the machine
    has less of."""
    used: Counter[str] = Counter()
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):
            full = process.memory_full_info()
            used[_role(process, server)] += full.pss if hasattr(full, "pss") else full.uss
    return dict(used)


def cpu(server: Command, model: Command) -> dict[str, float]:
    """Seconds of CPU time used so far, by role."""
    used: dict[str, float] = defaultdict(float)
    used["load"] = time_of(psutil.Process(os.getpid()))
    for process in server.processes():
        with suppress(psutil.NoSuchProcess):
            used[_role(process, server)] += time_of(process)
    used["model"] = sum(map(time_of, model.processes()))
    return used


def time_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _role(process: psutil.Process, server: Command) -> str:
    if process.pid == server.pid:
        return "server"
    title = (process.cmdline() or [""])[0]
    if title.startswith("ray::Host"):
        return "hosts"
    return "shards" if title.startswith("ray::ShardActor") else "Ray"
