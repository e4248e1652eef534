"""What the README says, for tests that hold it to that."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8283"
"""Where the README's examples expect the server."""


def fences(language: str, url: str) -> list[str]:
    """The examples in a language, in their order, for a server at this address."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [example.replace(ADDRESS, url) for example in found]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def printed(example: str) -> str:
    """What an example says it prints, in comments at the ends of its lines."""
    return "".join(f"{said}\n" for said in re.findall(r"(?:#|//) prints: (.*)$", example, re.MULTILINE))
