"""Schemas derived from source, and arguments checked against them."""

import pytest

from actors.tools.schema import SchemaError, check, derive, with_heartbeat

ROLL = '''
from typing import Annotated, Dict, List, Literal, Optional
import typing as t
from pydantic import BaseModel, Field

class Die(BaseModel):
    """A die."""
    sides: int = Field(..., description="How many sides.")
    colour: Optional[str] = None
    weight: float = Field(default=1.5)
    tags: List[str] = Field(default_factory=list)
    _limit = 3

def helper(x):
    pass

async def roll(
    self, agent_state: "AgentState", die: Die, name: "str", times: int = -1, loud: bool = False,
    names: list = None, matrix: list[list[int]] = SIZES, kind: Literal["d6", "d20"] = "d6",
    extra: Dict[str, int] | None = None, note: t.Optional[str] = None, *, level: Annotated[float, "x"]
) -> str:
    """Roll a die.

    Rolls it on the table.

    Args:
        die (Die): The die
            to roll: carefully.
        name: Who rolls.
        times: How often.
        loud: Whether one hears it.
        names: Names.
        matrix: Numbers.
        kind: Which.
        extra: More.
        note: A note.
        level: A level.

    Returns:
        str: the result

    Examples:
        roll(die)
    """
'''


def test_the_last_function_is_described():
    schema = derive(ROLL)

    assert schema["name"] == "roll"
    assert schema["description"] == ("Roll a die.\n\nRolls it on the table.\n\nExamples:\n    roll(die)")
    parameters = schema["parameters"]
    assert parameters["required"] == ["die", "name", "level"]
    assert parameters["properties"] == {
        "die": {
            "type": "object",
            "description": "The die to roll: carefully.",
            "properties": {
                "sides": {"type": "integer", "description": "How many sides."},
                "colour": {"type": "string"},
                "weight": {"type": "number", "default": 1.5},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["sides"],
        },
        "name": {"type": "string", "description": "Who rolls."},
        "times": {"type": "integer", "description": "How often.", "default": -1},
        "loud": {"type": "boolean", "description": "Whether one hears it.", "default": False},
        "names": {"type": "array", "items": {"type": "string"}, "description": "Names."},
        "matrix": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "integer"}},
            "description": "Numbers.",
        },
        "kind": {"type": "string", "enum": ["d6", "d20"], "description": "Which.", "default": "d6"},
        "extra": {"type": "object", "description": "More."},
        "note": {"type": "string", "description": "A note."},
        "level": {"type": "number", "description": "A level."},
    }


def test_a_function_without_parameters():
    schema = derive('def ping():\n    """Say pong."""')

    assert schema["parameters"] == {"type": "object", "properties": {}, "required": []}


def test_source_is_not_run():
    assert derive('raise SystemExit\ndef f():\n    """Do it."""')["name"] == "f"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("", "defines no function"),
        ("x = 1", "defines no function"),
        ("def f(:", "cannot be read"),
        ("def f(): pass", "no docstring"),
        ('def f(x):\n    """Do.\n\n    Args:\n        x: X.\n    """', "'x' has no type hint"),
        ('def f(x: int):\n    """Do."""', "'x' has no entry under 'Args:'"),
        (
            'def f(x: int | str):\n    """Do.\n\n    Args:\n        x: X.\n    """',
            r"unsupported type 'int \| str'",
        ),
        ('def f(x: set):\n    """Do.\n\n    Args:\n        x: X.\n    """', "unsupported type 'set'"),
        ('def f(x: tuple[int]):\n    """Do.\n\n    Args:\n        x: X.\n    """', "unsupported type"),
        ('def f(x: "int["):\n    """Do.\n\n    Args:\n        x: X.\n    """', "cannot be read"),
        ('def f(*x: int):\n    """Do."""', "any number of values"),
        (f'def {"f" * 49}():\n    """Do."""', "longer than 48"),
        ("(" * 10_000, "cannot be read"),
    ],
)
def test_what_cannot_be_described_is_refused(source, error):
    with pytest.raises(SchemaError, match=f"^Failed to derive json schema: .*{error}"):
        derive(source)


def test_a_heartbeat_can_be_asked_for():
    schema = derive('def ping():\n    """Say pong."""')

    asked = with_heartbeat(schema)

    assert asked["parameters"]["properties"]["request_heartbeat"]["type"] == "boolean"
    assert asked["parameters"]["required"] == ["request_heartbeat"]
    assert schema["parameters"]["required"] == []


GOOD = {"die": {"sides": 6}, "name": "Ann", "level": 1}


def test_good_arguments_pass_and_nulls_are_left_out():
    assert check(derive(ROLL), {**GOOD, "note": None, "times": 2}) == {**GOOD, "times": 2}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": None}, "`name` must be a string, not null"),
        ({"times": "2"}, "`times` must be an integer, not a string"),
        ({"times": True}, "`times` must be an integer, not a boolean"),
        ({"times": 1.5}, "`times` must be an integer, not a number"),
        ({"kind": "d7"}, "`kind` must be one of ['d6', 'd20']"),
        ({"names": "Ann"}, "`names` must be an array, not a string"),
        ({"names": ["Ann", 3]}, "`names[1]` must be a string, not an integer"),
        ({"die": {}}, "required parameter `die.sides` is missing"),
        ({"die": {"sides": "6"}}, "`die.sides` must be an integer"),
        ({"dice": 3}, "there is no parameter `dice` (there are: die, name,"),
    ],
)
def test_bad_arguments_are_named(changes, error):
    with pytest.raises(ValueError, match=r".") as raised:
        check(derive(ROLL), GOOD | changes)

    assert error in str(raised.value)


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ValueError, match=r"`die` is missing; .*`name` is missing; .*`level` is missing"):
        check(derive(ROLL), {})
