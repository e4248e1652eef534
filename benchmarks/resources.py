"""What processes use: memory of a whole tree, and CPU time by the part a process plays."""

import os
from collections import Counter, defaultdict
from contextlib import suppress
from types import TracebackType
from typing import Self

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


class CpuMeter:
    """Adds up the CPU time of the processes while something is measured.

    Args:
        server: with all its processes.
        model: the endpoint that it calls.
    """

    def __init__(self, server: Command, model: Command) -> None:
        self._server = server
        self._model = model
        self._used: dict[str, float] = defaultdict(float)

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for role, seconds in self._now().items():
            self._used[role] += seconds - self._before.get(role, 0)

    def milliseconds(self, requests: int) -> dict[str, float]:
        """CPU time a request, by role."""
        return {role: 1000 * seconds / requests for role, seconds in self._used.items()}

    def _now(self) -> dict[str, float]:
        used: dict[str, float] = defaultdict(float)
        used["load"] = _time_of(psutil.Process(os.getpid()))
        for process in self._server.processes():
            with suppress(psutil.NoSuchProcess):
                used[_role(process, self._server)] += _time_of(process)
        used["model"] = sum(map(_time_of, self._model.processes()))
        return used


def _time_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _role(process: psutil.Process, server: Command) -> str:
    if process.pid == server.pid:
        return "server"
    title = (process.cmdline() or [""])[0]
    if title.startswith("ray::Host"):
        return "hosts"
    return "shards" if title.startswith("ray::ShardActor") else "Ray"
