"""Patches to memory blocks, as models write them: line numbers are only a hint, context decides."""

import re
from dataclasses import dataclass, field
from typing import Literal, cast

Action = Literal["Add", "Delete", "Update"]

_HUNK = re.compile(r"^@@(?: -(?P<line>\d+)(?:,(?P<count>\d+))?)?")
_HEADER = re.compile(r"^\*\*\* (?P<action>Add|Delete|Update) Block: *(?P<label>\S.*?) *$")
_MOVE = "*** Move to:"
_DESCRIPTION = "Description:"


@dataclass(slots=True)
class BlockEdit:
    """What a patch does to one block."""

    action: Action
    label: str
    move_to: str | None = None
    description: str | None = None
    lines: list[str] = field(default_factory=list)
    """Hunks of an update; the value's lines, each after a ``+``, of an added block."""

    def take(self, line: str) -> bool:
        """Read a line that follows the edit's header; ``False`` if it cannot be part of it."""
        if self.action == "Update" and line.startswith(_MOVE):
            self.move_to = line.removeprefix(_MOVE).strip()
        elif self.action == "Add" and not self.lines and line.startswith(_DESCRIPTION):
            self.description = line.removeprefix(_DESCRIPTION).strip()
        elif self.action == "Delete" or line.startswith("*** "):
            return False
        else:
            self.lines.append(line)
        return True

    def value(self) -> str:
        """The value of an added block."""
        if bad := next((line for line in self.lines if not line.startswith("+")), None):
            raise ValueError(f"Every line of the added block '{self.label}' must start with '+': {bad!r}")
        return "\n".join(line[1:] for line in self.lines)


def parse(patch: str) -> list[BlockEdit]:
    """Read the form that edits several blocks. Without any ``*** Add|Delete|Update Block:`` line the
    patch has the other form, hunks for one block, and the result is empty.

    Raises:
        ValueError: a line that belongs to no block.
    """
    edits: list[BlockEdit] = []
    lines = patch.strip("\n").split("\n")
    if not any(_HEADER.match(line) for line in lines):
        return []
    for line in lines:
        if line in ("*** Begin Patch", "*** End Patch"):
            continue
        if header := _HEADER.match(line):
            edits.append(BlockEdit(cast("Action", header["action"]), header["label"]))
        elif line.strip() and not (edits and edits[-1].take(line)):
            raise ValueError(f"This line of the patch belongs to no block: {line!r}")
        elif not line.strip() and edits:
            edits[-1].take(" ")
    for edit in edits:
        while edit.lines and not edit.lines[-1].strip():
            edit.lines.pop()
    return edits


@dataclass(slots=True)
class _Hunk:
    line: int | None
    """Where it starts in the old text, from 0, if its header says so."""
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def apply(value: str, patch: list[str]) -> str:
    """Return the text with all hunks of a unified diff applied.

    Raises:
        ValueError: a bad line, or a hunk whose old lines are not found exactly once.
    """
    lines = value.split("\n") if value else []
    shift = 0
    hunks = _hunks(patch)
    if not hunks:
        raise ValueError("The patch has no hunk: it needs lines that start with '+' or '-'.")
    for hunk in hunks:
        start = _locate(hunk, lines, shift)
        lines[start : start + len(hunk.old)] = hunk.new
        shift += len(hunk.new) - len(hunk.old)
    return "\n".join(lines)


def _hunks(patch: list[str]) -> list[_Hunk]:
    hunks: list[_Hunk] = []
    headed = any(line.startswith("@@") for line in patch)
    for line in patch:
        if header := _HUNK.match(line):
            after = 0 if header["count"] == "0" else 1
            hunks.append(_Hunk(max(0, int(header["line"]) - after) if header["line"] else None))
            continue
        if not hunks:
            if headed and (line.startswith(("--- ", "+++ ")) or not line.strip()):
                continue
            hunks.append(_Hunk(None))
        if line.startswith("\\"):
            continue
        sign, text = line[:1], line[1:]
        if sign not in ("", " ", "+", "-"):
            raise ValueError(f"Every line of a hunk must start with ' ', '+' or '-': {line!r}")
        if sign != "+":
            hunks[-1].old.append(text)
        if sign != "-":
            hunks[-1].new.append(text)
    return [hunk for hunk in hunks if hunk.old != hunk.new]


def _locate(hunk: _Hunk, lines: list[str], shift: int) -> int:
    hint = None if hunk.line is None else hunk.line + shift
    if not hunk.old:
        return len(lines) if hint is None else min(max(hint, 0), len(lines))
    size = len(hunk.old)
    found = [start for start in range(len(lines) - size + 1) if lines[start : start + size] == hunk.old]
    if hint in found:
        return hint
    if len(found) == 1:
        return found[0]
    text = "\n".join(hunk.old)
    if not found:
        raise ValueError(f"The patch does not fit: these lines are not in the memory block:\n{text}")
    at = [start + 1 for start in found]
    raise ValueError(f"The patch is ambiguous: these lines occur at lines {at}. Add more context:\n{text}")
