"""What a run has found."""

from dataclasses import dataclass, field

from benchmarks.load import Summary


@dataclass(slots=True)
class Figure:
    """One number, perhaps with a bound that it should keep."""

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the bound is kept; ``None`` without one."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return self.value <= self.at_most if self.at_most is not None else None


@dataclass(slots=True)
class Cell:
    """One load on a server, with the floor of the same load."""

    kind: str
    """``message``: latency is of the whole answer. ``stream``: of its first token."""
    clients: int
    model_ms: int
    measured: Summary
    floor: Summary
    prompt_messages: int
    """Messages in the prompt that the floor was measured with: the average of the agents'."""

    @property
    def ratio(self) -> float:
        return self.measured.per_second / self.floor.per_second

    @property
    def on_top(self) -> float:
        """Milliseconds that the server adds to the median."""
        return self.measured.p50 - self.floor.p50


@dataclass(slots=True)
class Results:
    facts: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    cpu_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    """CPU time a request, by what was asked, then by role."""
    memory_mib: dict[str, dict[str, float]] = field(default_factory=dict)
    """By moment, then by role."""
    dedicated: dict[str, dict[int, Summary]] = field(default_factory=dict)
    """Side by side: by the shape of the fleet, then by agents at once."""
    failures: dict[str, str] = field(default_factory=dict)
    """Scenarios that could not be finished, and why."""
