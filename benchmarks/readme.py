"""Puts the newest results into the documents: ``python -m benchmarks.readme``.

What stands between ``<!-- benchmark -->`` and ``<!-- /benchmark -->`` is replaced.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import orjson

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SECTION = re.compile(r"(?<=<!-- benchmark -->\n).*?(?=<!-- /benchmark -->)", re.DOTALL)
MACHINE = ("cores", "processor", "memory", "file system", "Python")


def main() -> None:
    """Fill every document whose results are there; the others stay as they are."""
    parts: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
        "README.md": ("server.json", server_section),
        "docs/design.md": ("shard.json", shard_section),
    }
    for document, (results, section) in parts.items():
        source, target = RESULTS / results, ROOT / document
        if source.exists():
            text = "\n\n".join(section(orjson.loads(source.read_bytes())))
            target.write_text(fill(target.read_text(), text))
            click.echo(f"{document}: filled from {results}")
        else:
            click.echo(f"{document}: left as it is, there is no {results}")


def fill(document: str, text: str) -> str:
    """The document with this text as its section.

    Raises:
        ValueError: it has no such section, or more than one.
    """
    filled, count = SECTION.subn(lambda _: f"{text}\n", document)
    if count != 1:
        raise ValueError(f"{count} sections for benchmarks, not 1")
    return filled


def server_section(results: dict[str, Any]) -> list[str]:
    """What was aimed at and what came out, and the messages per second."""
    facts = results["facts"]
    machine = "; ".join(f"{name} {facts[name]}" for name in MACHINE)
    parts = [f"Measured on {facts['date']}, commit {facts['commit']}: {machine}."]
    targets = results["targets"]
    bounded = [each for each in results["figures"] if each["name"] in targets]
    if bounded:
        rows = [(*_target(each), "yes" if targets[each["name"]] else "**no**") for each in bounded]
        parts.append(_table("figure|measured|target|reached", rows))
    cells = [cell for cell in results["cells"] if cell["kind"] == "message"]
    if cells:
        head = "model takes|agents at once|messages/s|p50|p99|floor: calls/s|floor: p50"
        parts.append(_table(head, map(_load, cells)))
    return parts


def _target(figure: dict[str, Any]) -> tuple[str, ...]:
    least = figure["at_least"]
    bound = f"≤ {_number(figure['at_most'])}" if least is None else f"≥ {_number(least)}"
    return figure["name"], f"{_number(figure['value'])} {figure['unit']}".strip(), bound


def _load(cell: dict[str, Any]) -> tuple[str, ...]:
    measured, floor = cell["measured"], cell["floor"]
    return (
        f"{cell['model_ms']} ms",
        f"{cell['clients']}",
        _number(measured["per_second"]),
        f"{_number(measured['p50'])} ms",
        f"{_number(measured['p99'])} ms",
        _number(floor["per_second"]),
        f"{_number(floor['p50'])} ms",
    )


def shard_section(results: dict[str, Any]) -> list[str]:
    """Commits of one shard, by how many wait at once."""
    commits = [
        (
            name.removeprefix("commit_"),
            _number(found["commits_per_second"]),
            f"{_number(found['p50_ms'])} ms",
            f"{_number(found['p99_ms'])} ms",
        )
        for name, found in results.items()
        if name.startswith("commit_")
    ]
    others = [
        ("agents in the shard", f"{results['agents']:,}"),
        ("load one agent, p50", f"{_number(results['load']['p50_ms'])} ms"),
        ("open the shard again", f"{_number(results['open_ms'])} ms"),
        ("size of the database", f"{_number(results['database_bytes'] / 2**20)} MiB"),
    ]
    return [
        f"Measured on {results['measured_at'][:10]}: {results['machine']}.",
        _table("commits at once|commits/s|p50|p99", commits),
        _table("figure|measured", others),
    ]


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    columns = tuple(head.split("|"))
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
