"""The official TypeScript client against a real server."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.readme import fences, printed

HERE = Path(__file__).parent / "typescript"
NODE, NPM = shutil.which("node"), shutil.which("npm")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (NODE and NPM), reason="Node.js (node and npm) is not installed"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A directory in which the client is installed."""
    directory = tmp_path_factory.mktemp("typescript")
    for name in ("package.json", "package-lock.json", "round_trip.mjs"):
        shutil.copy(HERE / name, directory)
    _run(directory, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return directory


def test_a_round_trip(project, server):
    _run(project, NODE, "round_trip.mjs", server.url)


def test_the_readmes_example_prints_what_it_says(project, server):
    [example] = fences("typescript", server.url)
    (project / "readme.mjs").write_text(example)
    assert _run(project, NODE, "readme.mjs") == printed(example)


def _run(directory: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
