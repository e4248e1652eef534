"""The results as tables for people and as JSON for programs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from benchmarks.plot import plot
from benchmarks.resources import ROLES
from benchmarks.results import Cell, Figure, Results

EXPLANATION = (
    "The floor is the same model client calling the same endpoint with the same prompts, without a server "
    "around it. Load, server and model endpoint share the machine's cores. Latencies are in ms."
)
LOADS = (
    "model|at once|per second|rounds|p50|p95|p99|floor per second|floor p50|floor p99|of floor|on top|errors"
)


def write(results: Results, directory: Path, stem: str) -> list[Path]:
    """Write ``<stem>.json``, ``<stem>.md`` and, where there is something to plot, ``<stem>.svg``."""
    directory.mkdir(parents=True, exist_ok=True)
    document = asdict(results)
    document["targets"] = {each.name: each.reached for each in results.figures if each.reached is not None}
    written = [directory / f"{stem}.json", directory / f"{stem}.md"]
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    written[0].write_bytes(orjson.dumps(document, option=options) + b"\n")
    written[1].write_text(markdown(results))
    cells = [cell for cell in results.cells if cell.kind == "message"]
    if cells:
        written.append(directory / f"{stem}.svg")
        plot(cells, written[-1])
    return written


def markdown(results: Results) -> str:
    """All tables."""
    parts = [
        "# Benchmark of a server",
        "; ".join(f"{name} {value}" for name, value in results.facts.items()),
        EXPLANATION,
    ]
    bounded = [each for each in results.figures if each.reached is not None]
    others = [each for each in results.figures if each.reached is None]
    if bounded:
        rows = [
            (each.name, _value(each), _bound(each), "yes" if each.reached else "**no**", each.note)
            for each in bounded
        ]
        parts += ["## Targets", table("figure|measured|target|reached|detail", rows)]
    for title, kind in (("Messages", "message"), ("Streams: time to the first token", "stream")):
        cells = [cell for cell in results.cells if cell.kind == kind]
        if cells:
            parts += [f"## {title}", _loads(cells)]
    if results.cpu_ms:
        parts += ["## CPU time a request, in ms", _by_role("request", results.cpu_ms)]
    if others:
        further = [(each.name, _value(each), each.note) for each in others]
        parts += ["## Further figures", table("figure|measured|detail", further)]
    if results.memory_mib:
        parts += ["## Memory of the process tree, MiB (PSS)", _by_role("moment", results.memory_mib)]
    if results.dedicated:
        parts += ["## One Ray actor an agent", _dedicated(results)]
    if results.failures:
        parts += ["## Not measured", *(f"- {name}: {reason}" for name, reason in results.failures.items())]
    return "\n\n".join(parts) + "\n"


def _loads(cells: Iterable[Cell]) -> str:
    rows = [
        (
            f"{cell.model_ms} ms",
            f"{cell.clients}",
            number(cell.measured.per_second),
            _range(cell.measured.rounds),
            *map(number, (cell.measured.p50, cell.measured.p95, cell.measured.p99)),
            *map(number, (cell.floor.per_second, cell.floor.p50, cell.floor.p99)),
            f"{cell.ratio:.2f}",
            number(cell.on_top),
            _errors(cell),
        )
        for cell in cells
    ]
    return table(LOADS, rows)


def _errors(cell: Cell) -> str:
    told = [f"{count} times {error}" for error, count in cell.measured.errors.items()]
    told += [f"floor: {count} times {error}" for error, count in cell.floor.errors.items()]
    return "; ".join(told) or "0"


def _by_role(head: str, amounts: dict[str, dict[str, float]]) -> str:
    roles = [role for role in ROLES if any(role in used for used in amounts.values())]
    rows = [
        (name, *(number(used.get(role, 0.0)) for role in roles), number(sum(used.values())))
        for name, used in amounts.items()
    ]
    return table("|".join((head, *roles, "all")), rows)


def _dedicated(results: Results) -> str:
    rows = [
        (
            shape,
            f"{clients}",
            *map(number, (found.per_second, found.p50, found.p95, found.p99)),
            f"{sum(found.errors.values())}",
        )
        for shape, levels in results.dedicated.items()
        for clients, found in levels.items()
    ]
    return table("shape|at once|messages/s|p50|p95|p99|errors", rows)


def table(head: str, rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: names of the columns, with ``|`` between them.
        rows: as many cells each.
    """
    columns = head.split("|")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _value(figure: Figure) -> str:
    return f"{number(figure.value)} {figure.unit}".strip()


def _bound(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"≥ {number(figure.at_least)}"
    return f"≤ {number(figure.at_most or 0)}"


def number(value: float) -> str:
    """A number with about three significant digits, for people."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.3g}"


def _range(rounds: list[float]) -> str:
    low, high = min(rounds), max(rounds)
    return number(low) if len(rounds) == 1 else f"{number(low)}-{number(high)}"
