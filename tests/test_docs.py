"""The documents say what is the case: tables against code, examples by running them."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from actors.models.providers import KINDS
from benchmarks.readme import fill
from server.cli import command
from server.options import variable
from server.settings import Settings
from tests.readme import README, ROOT, fences, printed, rows

DESIGN = (ROOT / "docs" / "design.md").read_text()
DEPENDS_ON_THE_MACHINE = {"shards": "half the cores"}
SEPARATOR = "@@ next @@"
SHELL = 'set -eu\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def test_the_table_of_settings_is_that_of_the_code():
    table = {
        (f"`{variable(name)}`", _default(name, field.default), field.description)
        for name, field in Settings.model_fields.items()
    }
    assert {tuple(row) for row in rows("Configuration")} == table


def _default(name: str, default: Any) -> str:
    if name in DEPENDS_ON_THE_MACHINE:
        return DEPENDS_ON_THE_MACHINE[name]
    return "" if default in (None, []) else f"`{default}`"


def test_the_table_of_providers_is_that_of_the_code():
    table = []
    for kind in KINDS:
        read = {kind.key_variable, kind.url_variable} - {kind.variable, None}
        table.append([f"`{kind.name}/`", f"`{kind.variable}`", ", ".join(f"`{each}`" for each in read)])
    assert rows("Use a real model") == table


def test_every_command_is_in_the_table_of_commands():
    assert {row[0] for row in rows("Command line")} == {f"`greenroom {name}`" for name in command.commands}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_curl_examples_give_what_they_show(server, client):
    """What is shown may leave fields out, and parts of texts, marked by an ellipsis."""
    script = f"\necho; echo '{SEPARATOR}'\n".join(fences("bash", server.url))
    done = subprocess.run(
        ["bash", "-c", SHELL + script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(output) for output in done.stdout.split(SEPARATOR)]
    shown = [json.loads(example) for example in fences("json", server.url)]
    assert len(answers) >= len(shown) > 0
    for answer, expected in zip(answers, shown, strict=False):
        _assert_shows(expected, answer)
    for answer in answers:
        if answer.get("id"):
            client.agents.delete(answer["id"])


def _assert_shows(shown: Any, answer: Any) -> None:
    match shown:
        case dict():
            for key, value in shown.items():
                _assert_shows(value, answer[key])
        case list():
            assert len(shown) == len(answer)
            for value, given in zip(shown, answer, strict=True):
                _assert_shows(value, given)
        case str():
            assert re.fullmatch(re.escape(shown).replace("…", ".*"), answer, re.DOTALL)
        case _:
            assert shown == answer


@pytest.mark.slow
def test_the_python_example_prints_what_it_says(server):
    [example] = fences("python", server.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed(example)


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "docs/design.md"])
def test_links_lead_somewhere(document):
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("document", [README, DESIGN], ids=["README", "design"])
def test_benchmarks_have_one_place(document):
    filled = fill(document, "| 1 |")
    assert "<!-- benchmark -->\n| 1 |\n<!-- /benchmark -->" in filled
    assert fill(filled, "| 1 |") == filled
    before, after = re.split(r"<!-- benchmark -->.*<!-- /benchmark -->", document, flags=re.DOTALL)
    assert filled.startswith(before)
    assert filled.endswith(after)


def test_files_and_tests_that_the_design_names_exist():
    named = re.findall(r"`((?:actors|benchmarks|server|storage|tests)/[\w/.]*)(?:::(\w+))?`", DESIGN)
    assert len(named) > 20
    assert [path for path, _ in named if not (ROOT / path).exists()] == []
    assert [test for path, test in named if test and f"def {test}(" not in (ROOT / path).read_text()] == []


def test_every_library_has_its_line_in_the_design():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    libraries = {re.split(r"[<>=]", each)[0] for each in needed}
    table = DESIGN.split("\n## Libraries\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == libraries
