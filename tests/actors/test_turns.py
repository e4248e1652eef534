"""Whether a run goes on after a step, and why it ends."""

import json

import pytest

from actors.tools.rules import ToolRules
from actors.turns import Next, Turn, after_heartbeat_step, after_plain_step
from storage.records import ToolCall, ToolReturn

EXIT = [{"type": "exit_loop", "tool_name": "send_message"}]
REQUIRED = [{"type": "required_before_exit", "tool_name": "save"}]
BEAT = {"request_heartbeat": True}


def turn(*calls, failed=(), before=(), finish="stop", last=False, refused=()) -> Turn:
    """A step that called these tools: names, or pairs of name and arguments."""
    pairs = [(each, {}) if isinstance(each, str) else each for each in calls]
    made = [ToolCall(id=name, name=name, arguments=json.dumps(arguments)) for name, arguments in pairs]
    returns = [
        ToolReturn(tool_call_id=name, name=name, content="", status="error" if name in failed else "success")
        for name, _ in pairs
    ]
    called = [*before, *(call.name for call in made if call.name not in refused)]
    return Turn(made, returns, called, finish, last)


@pytest.mark.parametrize(
    ("step", "rules", "expected"),
    [
        (turn(), [], Next("end_turn")),
        (turn(last=True), [], Next("end_turn")),
        (turn(finish="length"), [], Next("max_tokens_exceeded")),
        (turn("search"), [], Next()),
        (turn("search", last=True), [], Next("max_steps")),
        (turn("send_message"), EXIT, Next("tool_rule")),
        (turn("send_message", last=True), EXIT, Next("tool_rule")),
        (turn("search", "send_message"), EXIT, Next("tool_rule")),
        (turn("send_message", failed=["send_message"]), EXIT, Next()),
        (turn(before=["save"]), REQUIRED, Next("end_turn")),
        (turn(last=True), REQUIRED, Next("max_steps")),
    ],
)
def test_plain_steps(step, rules, expected):
    assert after_plain_step(step, ToolRules(rules)) == expected


def test_an_agent_is_told_what_it_must_call_before_it_may_answer():
    after = after_plain_step(turn(), ToolRules(REQUIRED))
    assert after.stop is None
    assert "must call save" in after.nudge


@pytest.mark.parametrize(
    ("step", "rules", "stop"),
    [
        (turn(), EXIT, "no_tool_call"),
        (turn(finish="length"), EXIT, "max_tokens_exceeded"),
        (turn("send_message"), EXIT, "end_turn"),
        (turn(("send_message", BEAT)), EXIT, "tool_rule"),
        (turn("search"), [], "end_turn"),
        (turn(("search", {"request_heartbeat": False})), [], "end_turn"),
        (turn(("search", BEAT), last=True), [], "max_steps"),
    ],
)
def test_heartbeat_steps_that_end_the_run(step, rules, stop):
    assert after_heartbeat_step(step, ToolRules(rules)) == Next(stop)


@pytest.mark.parametrize(
    ("step", "rules", "why"),
    [
        (turn(("search", BEAT)), [], "request_heartbeat=true"),
        (turn(("search", {"request_heartbeat": "True"})), [], "request_heartbeat=true"),
        (turn("search", failed=["search"]), [], "Function call failed"),
        (turn("search", refused=["search"]), [], "tool rule violation"),
        (turn("search"), [{"type": "continue_loop", "tool_name": "search"}], "continue tool rule"),
        (
            turn("search"),
            [{"type": "constrain_child_tools", "tool_name": "search", "children": ["save"]}],
            "child tool rule",
        ),
        (turn("send_message"), EXIT + REQUIRED, "[save]"),
    ],
)
def test_heartbeat_steps_after_which_the_run_goes_on(step, rules, why):
    after = after_heartbeat_step(step, ToolRules(rules))
    assert after.stop is None
    assert why in after.nudge


def test_arguments_that_are_no_json_ask_for_nothing():
    call = ToolCall(id="c", name="search", arguments='{"request_heartbeat": tr')
    returned = ToolReturn(tool_call_id="c", name="search", status="success", content="")
    step = Turn([call], [returned], ["search"], "tool_calls", last=False)
    assert after_heartbeat_step(step, ToolRules([])) == Next("end_turn")
