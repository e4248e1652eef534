"""All SQL of the store, one ``.sql`` file per concern.

A file holds named statements; the comment under a name says what the statement is for::

    -- name: find_state
    -- The state of one agent.
    select ...
"""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements(concern: str) -> dict[str, str]:
    """The named statements of ``<concern>.sql``."""
    parts = _NAME.split(files(__package__).joinpath(f"{concern}.sql").read_text())
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def migrations() -> list[str]:
    """The schema's history: the script that leads to version 1, to version 2, and so on."""
    folder = files(__package__).joinpath("migrations")
    scripts = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return [script.read_text() for script in scripts]
