"""The tools with which an agent edits its own memory.

Each is a pure function of the memory and the call's arguments. Signatures and docstrings are what
the model sees. A refused edit raises ``ValueError`` and changes nothing.
"""

import re
from collections.abc import Callable, Mapping

from actors.tools import patch as patches
from actors.tools.memory import Memory

_LINE_NUMBER = re.compile(r"^\s*\d+→", re.MULTILINE)
_COMMANDS = "create, str_replace, insert, delete, rename"
_ACTIVE = "Your system prompt has been recompiled with"


def core_memory_append(memory: Memory, label: str, content: str) -> str:
    """Add text to the end of a memory block.

    Args:
        label: Label of the memory block.
        content: Text to add, on a new line.
    """
    return memory.write(label, f"{memory[label].value}\n{content}")


def core_memory_replace(memory: Memory, label: str, old_content: str, new_content: str) -> str:
    """Replace text in a memory block, wherever it occurs. To delete the text, replace it with an
    empty string.

    Args:
        label: Label of the memory block.
        old_content: Text to replace, exactly as it stands in the block.
        new_content: Text to put in its place.
    """
    value = memory[label].value
    if not old_content or old_content not in value:
        raise ValueError(f"Old content '{old_content}' not found in memory block '{label}'")
    return memory.write(label, value.replace(old_content, new_content))


def memory_replace(memory: Memory, label: str, old_string: str, new_string: str) -> str:
    """Replace one passage of a memory block. The passage must occur exactly once, so give enough of
    the text around it. To delete it, replace it with an empty string.

    Args:
        label: Label of the memory block.
        old_string: Passage to replace, exactly as it stands in the block, without line numbers.
        new_string: Text to put in its place, without line numbers.
    """
    _no_line_numbers("old_string", old_string)
    _no_line_numbers("new_string", new_string)
    value = memory[label].value
    if old_string not in value:
        raise ValueError(
            f"No replacement was performed, old_string `{old_string}` did not appear verbatim in memory "
            f"block with label `{label}`."
        )
    if not old_string and value:
        raise ValueError("No replacement was performed, old_string is empty.")
    if len(starts := [found.start() for found in re.finditer(re.escape(old_string), value)]) > 1:
        lines = [value.count("\n", 0, start) + 1 for start in starts]
        raise ValueError(
            f"No replacement was performed. Multiple occurrences of old_string `{old_string}` in lines "
            f"{lines}. Please ensure it is unique."
        )
    return memory.write(label, value.replace(old_string, new_string, 1))


def memory_insert(memory: Memory, label: str, new_string: str, insert_line: int = -1) -> str:
    """Insert text into a memory block as one or more lines of its own.

    Args:
        label: Label of the memory block.
        new_string: Text to insert, without line numbers.
        insert_line: Number of the line after which the text goes: 0 is the start, -1 the end.
    """
    _no_line_numbers("new_string", new_string)
    value = memory[label].value
    lines = value.split("\n") if value else []
    if not -1 <= insert_line <= len(lines):
        raise ValueError(
            f"Invalid `insert_line` parameter: {insert_line}. It must be between 0 and {len(lines)}, "
            f"the number of lines of the memory block, or -1 for its end."
        )
    at = len(lines) if insert_line == -1 else insert_line
    return memory.write(label, "\n".join([*lines[:at], new_string, *lines[at:]]))


def memory_rethink(memory: Memory, label: str, new_memory: str) -> str:
    """Rewrite a memory block from scratch, for sweeping changes such as condensing or reorganising.
    Whatever the new text leaves out is lost.

    Args:
        label: Label of the memory block.
        new_memory: The whole new text of the block, without line numbers.
    """
    _no_line_numbers("new_memory", new_memory)
    return memory.write(label, new_memory)


def memory_apply_patch(memory: Memory, label: str, patch: str) -> str:
    """Edit memory blocks with a patch: several places of one block, or several blocks at once.
    Either all of the patch is applied or nothing.

    For one block, write the hunks of a unified diff: lines that start with a space are context,
    with - are removed, with + are added; @@ separates hunks.

    For several blocks, start each part with one of these lines: *** Add Block: <label> (then the
    text, each line after a +), *** Delete Block: <label>, or *** Update Block: <label> (then hunks,
    after an optional line *** Move to: <new label>).

    Args:
        label: Label of the memory block to edit. A patch that names its blocks itself ignores it.
        patch: The patch, without line numbers in its text.
    """
    edits = patches.parse(patch)
    if not edits:
        return memory.write(label, patches.apply(memory[label].value, patch.strip("\n").split("\n")))
    with memory.all_or_nothing():
        return "\n".join(_apply(memory, edit) for edit in edits)


def memory(
    memory: Memory,
    command: str,
    *,
    path: str | None = None,
    file_text: str | None = None,
    description: str | None = None,
    old_string: str | None = None,
    new_string: str | None = None,
    insert_line: int | None = None,
    insert_text: str | None = None,
    old_path: str | None = None,
    new_path: str | None = None,
) -> str:
    """Manage your memory blocks as files: /memories/<label> is the block of that label.

    Commands: create (path, description, file_text) makes a block; str_replace (path, old_string,
    new_string) replaces a passage that occurs once; insert (path, insert_line, insert_text) inserts
    lines; delete (path) removes a block; rename (old_path, new_path) changes its label, or rename
    (path, description) its description.

    Args:
        command: One of create, str_replace, insert, delete, rename.
        path: Path of the block, such as /memories/human.
        file_text: Text of a block to create.
        description: What a block is for, when it is created or described anew.
        old_string: Passage to replace, exactly as it stands in the block.
        new_string: Text to put in its place; without it the passage is deleted.
        insert_line: Number of the line after which text is inserted; 0 is the start, -1 the end.
        insert_text: Text to insert.
        old_path: Path of a block to rename.
        new_path: Its new path.
    """
    match command:
        case "create":
            label = _label("path", path)
            memory.create(label, file_text or "", description)
            done = f"created memory block '{label}'. {_ACTIVE} the new memory block and is now active"
        case "str_replace":
            label = _label("path", path)
            memory_replace(memory, label, _needed("old_string", old_string), new_string or "")
            done = f"edited memory block '{label}'. {_ACTIVE} the updated memory and is now active"
        case "insert":
            label = _label("path", path)
            line = -1 if insert_line is None else insert_line
            memory_insert(memory, label, _needed("insert_text", insert_text), line)
            done = f"edited memory block '{label}'. {_ACTIVE} the updated memory and is now active"
        case "delete":
            label = _label("path", path)
            memory.detach(label)
            done = f"deleted memory block '{label}'. {_ACTIVE}out it and is now active"
        case "rename" if old_path is None and path is not None:
            label = _label("path", path)
            memory.describe(label, _needed("description", description))
            done = f"described memory block '{label}' anew. {_ACTIVE} the description and is now active"
        case "rename":
            label, new_label = _label("old_path", old_path), _label("new_path", new_path)
            memory.rename(label, new_label)
            done = f"renamed memory block '{label}' to '{new_label}'. {_ACTIVE} the label and is now active"
        case _:
            raise ValueError(f"Error: Unknown command '{command}'. Supported commands: {_COMMANDS}")
    return f"Successfully {done} in your context."


def memory_finish_edits(memory: Memory) -> None:
    """Say that you are done with editing memory. Call it once nothing is left to change."""


MEMORY_TOOLS: Mapping[str, Callable[..., str | None]] = {
    tool.__name__: tool
    for tool in (
        core_memory_append,
        core_memory_replace,
        memory,
        memory_apply_patch,
        memory_replace,
        memory_insert,
        memory_rethink,
        memory_finish_edits,
    )
}


def _apply(memory: Memory, edit: patches.BlockEdit) -> str:
    match edit.action:
        case "Add":
            memory.create(edit.label, edit.value(), edit.description)
            return f"Created memory block '{edit.label}'"
        case "Delete":
            memory.detach(edit.label)
            return f"Deleted memory block '{edit.label}'"
        case "Update":
            if edit.lines:
                memory.write(edit.label, patches.apply(memory[edit.label].value, edit.lines))
            if edit.move_to is None:
                return f"Updated memory block '{edit.label}'"
            memory.rename(edit.label, edit.move_to)
            return f"Updated memory block '{edit.label}' and renamed it to '{edit.move_to}'"


def _label(parameter: str, path: str | None) -> str:
    """The label that a path such as ``/memories/<label>`` names."""
    label = _needed(parameter, path).strip().removeprefix("/").removeprefix("memories/").strip("/")
    if not label:
        raise ValueError(f"`{parameter}` must look like /memories/<label>")
    return label


def _needed(parameter: str, value: str | None) -> str:
    if value is None:
        raise ValueError(f"This command needs the parameter `{parameter}`.")
    return value


def _no_line_numbers(parameter: str, text: str) -> None:
    if _LINE_NUMBER.search(text):
        raise ValueError(
            f"{parameter} contains a line number prefix, which is not allowed. Line numbers are shown "
            f"for orientation only: leave them out."
        )
