"""The tools with which an agent edits its own memory."""

from datetime import UTC, datetime

import pytest

from actors.tools import Memory
from actors.tools.memory_tools import MEMORY_TOOLS
from storage.ids import is_id, new_id, slot_of
from storage.records import Block

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def block(label, value="", **fields):
    return Block(id=f"block-{label}", label=label, value=value, created_at=NOON, updated_at=NOON, **fields)


@pytest.fixture
def memory():
    return Memory(
        [
            block("human", "Name: Sarah\nLikes: tea\nCity: Oslo", version=4),
            block("notes", "", limit=20),
            block("rules", "Be kind.", read_only=True),
        ]
    )


def call(memory, tool, **arguments):
    return MEMORY_TOOLS[tool](memory, **arguments)


def values(memory):
    return {each.label: each.value for each in memory.blocks}


def test_append(memory):
    result = call(memory, "core_memory_append", label="human", content="Age: 30")

    assert result == "Name: Sarah\nLikes: tea\nCity: Oslo\nAge: 30"
    assert memory["human"].value == result


def test_core_replace_replaces_every_occurrence(memory):
    result = call(memory, "core_memory_replace", label="human", old_content=": ", new_content="=")

    assert result == "Name=Sarah\nLikes=tea\nCity=Oslo"


@pytest.mark.parametrize("old", ["coffee", ""])
def test_core_replace_needs_the_old_text(memory, old):
    with pytest.raises(ValueError, match=rf"^Old content '{old}' not found in memory block 'human'$"):
        call(memory, "core_memory_replace", label="human", old_content=old, new_content="x")


def test_replace(memory):
    result = call(memory, "memory_replace", label="human", old_string="tea", new_string="coffee")

    assert result == memory["human"].value == "Name: Sarah\nLikes: coffee\nCity: Oslo"


def test_replace_fills_an_empty_block(memory):
    assert call(memory, "memory_replace", label="notes", old_string="", new_string="x") == "x"


@pytest.mark.parametrize(
    ("old", "error"),
    [
        (
            "coffee",
            (
                "No replacement was performed, old_string `coffee` did not appear verbatim in memory block "
                "with label `human`."
            ),
        ),
        (
            ": ",
            "Multiple occurrences of old_string `: ` in lines [1, 2, 3]. Please ensure it is unique.",
        ),
        ("", "old_string is empty"),
        ("2→ Likes", "old_string contains a line number prefix, which is not allowed."),
    ],
)
def test_replace_needs_one_unique_passage(memory, old, error):
    with pytest.raises(ValueError, match=r"No replacement|line number") as raised:
        call(memory, "memory_replace", label="human", old_string=old, new_string="x")

    assert error in str(raised.value)
    assert memory.writes() == []


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (0, "NEW\nName: Sarah\nLikes: tea\nCity: Oslo"),
        (1, "Name: Sarah\nNEW\nLikes: tea\nCity: Oslo"),
        (3, "Name: Sarah\nLikes: tea\nCity: Oslo\nNEW"),
        (-1, "Name: Sarah\nLikes: tea\nCity: Oslo\nNEW"),
    ],
)
def test_insert(memory, line, value):
    assert call(memory, "memory_insert", label="human", new_string="NEW", insert_line=line) == value


def test_insert_goes_to_the_end_by_default_also_of_an_empty_block(memory):
    assert call(memory, "memory_insert", label="notes", new_string="NEW") == "NEW"


@pytest.mark.parametrize("line", [-2, 4])
def test_insert_needs_a_line_that_is_there(memory, line):
    with pytest.raises(ValueError, match=rf"^Invalid `insert_line` parameter: {line}\."):
        call(memory, "memory_insert", label="human", new_string="NEW", insert_line=line)


def test_rethink(memory):
    assert call(memory, "memory_rethink", label="human", new_memory="Sarah, Oslo") == "Sarah, Oslo"
    assert memory["human"].value == "Sarah, Oslo"


def test_finish_edits_changes_nothing(memory):
    assert call(memory, "memory_finish_edits") is None
    assert memory.writes() == []


EDITS = [
    ("core_memory_append", {"content": "x"}),
    ("core_memory_replace", {"old_content": "kind", "new_content": "x"}),
    ("memory_replace", {"old_string": "kind", "new_string": "x"}),
    ("memory_insert", {"new_string": "x"}),
    ("memory_rethink", {"new_memory": "x"}),
    ("memory_apply_patch", {"patch": "-Be kind.\n+x"}),
]


@pytest.mark.parametrize(("tool", "arguments"), EDITS)
def test_a_read_only_block_is_not_edited(memory, tool, arguments):
    with pytest.raises(ValueError, match=r"^Error This block is read-only and cannot be edited\.$"):
        call(memory, tool, label="rules", **arguments)

    assert memory.writes() == []


@pytest.mark.parametrize(("tool", "arguments"), EDITS)
def test_an_unknown_label_is_answered_with_the_known_ones(memory, tool, arguments):
    with pytest.raises(ValueError, match=r"'nobody' does not exist.*human, notes, rules"):
        call(memory, tool, label="nobody", **arguments)


def test_the_limit_of_a_block_holds(memory):
    call(memory, "memory_insert", label="notes", new_string="x" * 20)

    with pytest.raises(ValueError, match="holds at most 20 characters and would have 22"):
        call(memory, "memory_insert", label="notes", new_string="x")

    assert memory["notes"].value == "x" * 20


def test_a_block_over_its_limit_can_still_be_shortened():
    memory = Memory([block("notes", "x" * 30, limit=20)])

    assert call(memory, "memory_rethink", label="notes", new_memory="x" * 25) == "x" * 25


# memory


DONE = "recompiled with"


def test_memory_create():
    agent_id = new_id("agent")
    memory = Memory([block("human")], near=agent_id)

    result = call(
        memory, "memory", command="create", path="/memories/trip", file_text="Oslo", description="Plans"
    )

    assert result == (
        "Successfully created memory block 'trip'. Your system prompt has been recompiled with the new "
        "memory block and is now active in your context."
    )
    (write,) = memory.writes()
    assert (write.block.label, write.block.value, write.block.description) == ("trip", "Oslo", "Plans")
    assert write.based_on is None
    assert is_id(write.block.id, "block")
    assert slot_of(write.block.id) == slot_of(agent_id)
    assert [each.label for each in memory.blocks] == ["human", "trip"]


def test_memory_edits_like_a_file(memory):
    call(memory, "memory", command="str_replace", path="/memories/human", old_string="tea", new_string="jazz")
    call(memory, "memory", command="insert", path="/memories/human", insert_line=0, insert_text="# Human")

    assert memory["human"].value == "# Human\nName: Sarah\nLikes: jazz\nCity: Oslo"


def test_memory_delete_takes_the_block_out_of_this_agent_only(memory):
    result = call(memory, "memory", command="delete", path="/memories/human")

    assert "deleted memory block 'human'" in result
    assert list(values(memory)) == ["notes", "rules"]
    assert memory.writes() == []


def test_memory_rename_keeps_the_place(memory):
    call(memory, "memory", command="rename", old_path="/memories/human", new_path="/memories/user")

    assert list(values(memory)) == ["user", "notes", "rules"]
    (write,) = memory.writes()
    assert (write.block.id, write.block.label, write.block.version, write.based_on) == (
        "block-human",
        "user",
        5,
        4,
    )


def test_memory_rename_with_a_path_describes_anew(memory):
    call(memory, "memory", command="rename", path="/memories/human", description="Who they are")

    (write,) = memory.writes()
    assert write.block.description == "Who they are"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            {"command": "view"},
            "Error: Unknown command 'view'. Supported commands: create, str_replace, insert",
        ),
        ({"command": "create", "path": "/memories/human"}, "'human' exists already"),
        ({"command": "create", "path": "/memories/"}, "must look like /memories/<label>"),
        ({"command": "create"}, "needs the parameter `path`"),
        ({"command": "create", "path": "big", "file_text": "x" * 100_001}, "holds at most 100000"),
        ({"command": "str_replace", "path": "human"}, "needs the parameter `old_string`"),
        ({"command": "insert", "path": "human"}, "needs the parameter `insert_text`"),
        ({"command": "delete", "path": "/memories/rules"}, "read-only"),
        ({"command": "delete", "path": "/memories/nobody"}, "does not exist"),
        ({"command": "rename", "old_path": "human", "new_path": "notes"}, "'notes' exists already"),
        ({"command": "rename", "old_path": "rules", "new_path": "x"}, "read-only"),
        ({"command": "rename", "path": "human"}, "needs the parameter `description`"),
    ],
)
def test_memory_refuses(memory, arguments, error):
    before = memory.blocks

    with pytest.raises(ValueError, match=r".") as raised:
        call(memory, "memory", **arguments)

    assert error in str(raised.value)
    assert memory.blocks == before


# patches


def test_patch_of_one_block(memory):
    patch = "@@ -1,3 +1,3 @@\n Name: Sarah\n-Likes: tea\n+Likes: coffee\n City: Oslo"

    result = call(memory, "memory_apply_patch", label="human", patch=patch)

    assert result == memory["human"].value == "Name: Sarah\nLikes: coffee\nCity: Oslo"


def test_patch_of_several_blocks(memory):
    patch = """*** Begin Patch
*** Add Block: trip
Description: Where to go
+Oslo
+
+Bergen

*** Update Block: human
*** Move to: user
@@
-Likes: tea
+Likes: coffee
*** Delete Block: notes
*** End Patch"""

    result = call(memory, "memory_apply_patch", label="ignored", patch=patch)

    assert result.split("\n") == [
        "Created memory block 'trip'",
        "Updated memory block 'human' and renamed it to 'user'",
        "Deleted memory block 'notes'",
    ]
    assert values(memory) == {
        "user": "Name: Sarah\nLikes: coffee\nCity: Oslo",
        "rules": "Be kind.",
        "trip": "Oslo\n\nBergen",
    }
    assert memory["trip"].description == "Where to go"


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ("*** Add Block: trip\n+Oslo\n*** Update Block: human\n-nothing\n+x", "does not fit"),
        ("*** Delete Block: notes\n*** Delete Block: rules", "read-only"),
        ("*** Delete Block: notes\n*** Update Block: human\n*** Move to: rules", "exists already"),
        ("*** Delete Block: notes\n+text", "belongs to no block"),
        ("text\n*** Delete Block: notes", "belongs to no block"),
        ("*** Delete Block: notes\n*** Add Block: trip\nOslo", "must start with '\\+'"),
    ],
)
def test_a_patch_applies_as_a_whole_or_not_at_all(memory, patch, error):
    before = values(memory)

    with pytest.raises(ValueError, match=error):
        call(memory, "memory_apply_patch", label="human", patch=patch)

    assert values(memory) == before
    assert memory.writes() == []


# what is committed


def test_writes_name_the_version_they_are_based_on(memory):
    call(memory, "memory_replace", label="human", old_string="tea", new_string="jazz")
    call(memory, "core_memory_append", label="human", content="Age: 30")
    call(memory, "memory_insert", label="notes", new_string="x")
    call(memory, "memory_rethink", label="notes", new_memory="")

    (write,) = memory.writes()

    assert (write.block.id, write.based_on, write.block.version) == ("block-human", 4, 5)
    assert write.block.updated_at > NOON
    assert write.block.created_at == NOON


def test_the_same_calls_run_again_on_fresher_blocks(memory):
    call(memory, "core_memory_append", label="human", content="Age: 30")
    fresher = Memory([block("human", "Name: Sara", version=9)])

    call(fresher, "core_memory_append", label="human", content="Age: 30")

    (write,) = fresher.writes()
    assert (write.block.value, write.based_on) == ("Name: Sara\nAge: 30", 9)


def test_each_call_makes_a_version_of_its_own(memory):
    call(memory, "memory_insert", label="human", new_string="Age: 30")
    (first,) = memory.writes({"tool_call_id": "call_1"})
    call(memory, "memory_insert", label="human", new_string="Dog: Rex")
    memory.create("plan", "Rest.")
    second, made = memory.writes({"tool_call_id": "call_2"})

    assert (first.based_on, first.block.version) == (4, 5)
    assert first.block.value.endswith("Age: 30")
    assert (second.based_on, second.block.version) == (5, 6)
    assert second.block.value.endswith("Age: 30\nDog: Rex")
    assert (made.based_on, made.block.version) == (None, 0)
    signed = [write.block.changed_by["tool_call_id"] for write in (first, second, made)]
    assert signed == ["call_1", "call_2", "call_2"]
    assert memory.writes() == []
