"""The packages stand on each other: an import never points upward."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "storage": {"actors", "server", "ray", "aiohttp"},
    "actors": {"server"},
    "server": set[str](),
}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the package's name"
            assert node.module is not None
            yield node.lineno, node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_an_import_never_points_upward(package: str) -> None:
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules
        for line, name in imports_of(path)
        if name.partition(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []
