"""The validator of histories sees what providers refuse."""

import pytest

from tests.strict_history import violations

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER = {"role": "user", "content": "hi"}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RETURN = {"role": "tool", "tool_call_id": "a", "content": "7"}


def called(**changes):
    return {"role": "assistant", "content": None, "tool_calls": [{**CALL, **changes}]}


def test_a_good_history_has_no_violations():
    history = [{"role": "system", "content": "S"}, USER, CALLING, RETURN]

    assert violations(history) == []


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ([], "first turn"),
        ([{"role": "assistant", "content": "hi"}, USER], "first turn"),
        ([USER, {"role": "assistant", "content": "hi"}], "last turn"),
        ([USER, USER], "twice in a row"),
        ([USER, {"role": "system", "content": "S"}], "inside the history"),
        ([USER, RETURN], "without a call"),
        ([USER, CALLING, RETURN, RETURN], "without a call"),
        ([USER, CALLING, USER], "no return"),
        ([USER, CALLING], "no return"),
        ([USER, CALLING, RETURN, USER, CALLING, RETURN], "used twice"),
        ([USER, called(id="b c"), {**RETURN, "tool_call_id": "b c"}], "bad call id"),
        ([USER, called(function={"name": "f g", "arguments": "{}"}), RETURN], "bad function name"),
        ([USER, called(function={"name": "f", "arguments": "[]"}), RETURN], "no object"),
        ([USER, called(function={"name": "f", "arguments": "{"}), RETURN], "no JSON"),
        ([USER, called(type="tool"), RETURN], "no function"),
        ([USER, {"role": "assistant", "content": "x", "tool_calls": []}, USER], "empty list"),
        ([USER, {"role": "assistant", "content": None}, USER], "no content"),
        ([{"role": "user", "content": " "}], "empty content"),
        ([{"role": "user", "content": []}], "content in parts"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "bad part"),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], "bad part"),
        ([{**USER, "name": "Sarah"}], "unknown key"),
        ([USER, {"role": "developer", "content": "x"}], "unknown role"),
    ],
)
def test_each_violation_is_found(history, problem):
    assert any(problem in each for each in violations(history))
