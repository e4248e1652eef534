"""Tool rules: what may be called next, what is prefilled, and when a run may end."""

import json

import pytest
from letta_client.types import AgentState
from pydantic import TypeAdapter, ValidationError

from actors.tools.rules import ToolRules, deduplicate, render
from storage.records import ToolCall, ToolReturn

TOOLS = ["a", "b", "c"]
FIRST = {"type": "run_first", "tool_name": "a"}
CHILD = {"type": "constrain_child_tools", "tool_name": "a", "children": ["b"]}
PARENT = {"type": "parent_last_tool", "tool_name": "a", "children": ["c"]}
MAX = {"type": "max_count_per_step", "tool_name": "a", "max_count_limit": 2}
CONDITIONAL = {
    "type": "conditional",
    "tool_name": "a",
    "child_output_mapping": {"red": "b", "true": "c"},
}
EXIT = {"type": "exit_loop", "tool_name": "a"}
CONTINUE = {"type": "continue_loop", "tool_name": "a"}
REQUIRED = {"type": "required_before_exit", "tool_name": "a"}
APPROVAL = {"type": "requires_approval", "tool_name": "a"}
ALL = [FIRST, CHILD, PARENT, MAX, CONDITIONAL, EXIT, CONTINUE, REQUIRED, APPROVAL]


@pytest.mark.parametrize(
    ("rules", "calls", "output", "allowed"),
    [
        ([], [], None, "abc"),
        ([EXIT, CONTINUE, REQUIRED, APPROVAL], ["a"], "7", "abc"),
        ([FIRST], [], None, "a"),
        ([FIRST, {**FIRST, "tool_name": "b"}], [], None, "ab"),
        ([FIRST], ["a"], "7", "abc"),
        ([CHILD], [], None, "abc"),
        ([CHILD], ["a"], "7", "b"),
        ([CHILD], ["a", "b"], "7", "abc"),
        ([CHILD, {**CHILD, "children": ["c"]}], ["a"], "7", "bc"),
        ([PARENT], [], None, "ab"),
        ([PARENT], ["a"], "7", "abc"),
        ([PARENT], ["a", "b"], "7", "ab"),
        ([PARENT, {**PARENT, "tool_name": "b"}], ["b"], "7", "abc"),
        ([MAX], ["a"], "7", "abc"),
        ([MAX], ["a", "b", "a"], "7", "bc"),
        ([MAX, {**CHILD, "children": ["a", "b"]}], ["a", "a"], "7", "b"),
        ([CONDITIONAL], ["a"], "red", "b"),
        ([CONDITIONAL], ["a"], "True", "c"),
        ([CONDITIONAL], ["a"], "blue", "abc"),
        ([CONDITIONAL], ["b"], "red", "abc"),
        ([{**CONDITIONAL, "default_child": "a"}], ["a"], "blue", "a"),
        ([{**CONDITIONAL, "require_output_mapping": True}], ["a"], "blue", ""),
        ([{**CHILD, "children": ["detached"]}], ["a"], "7", ""),
    ],
)
def test_what_may_be_called_next(rules, calls, output, allowed):
    assert ToolRules(rules).allowed(TOOLS, calls, output) == list(allowed)


@pytest.mark.parametrize(
    ("rules", "calls", "must"),
    [
        ([], [], False),
        ([FIRST], [], True),
        ([FIRST], ["a"], False),
        ([CHILD], [], False),
        ([CHILD], ["a"], True),
        ([CONDITIONAL], ["a"], True),
        ([CHILD], ["a", "b"], False),
    ],
)
def test_when_a_call_is_demanded(rules, calls, must):
    assert ToolRules(rules).must_call(calls) is must


def test_arguments_are_prefilled():
    first = {**FIRST, "args": {"x": 1}}
    child = {**CHILD, "child_arg_nodes": [{"name": "b", "args": {"y": 2}}, {"name": "c"}]}
    rules = ToolRules([first, child])

    assert rules.prefilled("a", []) == {"x": 1}
    assert rules.prefilled("b", []) == {}
    assert rules.prefilled("b", ["a"]) == {"y": 2}
    assert rules.prefilled("c", ["a"]) == {}
    assert rules.prefilled("a", ["a"]) == {}
    assert rules.prefilled("b", ["a", "c"]) == {}


def test_prefilled_arguments_win_over_the_models():
    call = ToolCall(id="1", name="a", arguments='{"x": 5, "z": 3}')

    filled = ToolRules.with_arguments(call, {"x": 1, "y": 2})

    assert json.loads(filled.arguments) == {"x": 1, "y": 2, "z": 3}
    broken = call.model_copy(update={"arguments": "{"})
    assert ToolRules.with_arguments(broken, {"x": 1}) == broken


def test_a_refusal_names_the_alternatives_and_is_not_counted():
    call = ToolCall(id="1", name="c", arguments="{}")
    refusal = ToolRules.refuse(call, ["a", "b"])

    assert refusal.status == "error"
    assert refusal.tool_call_id == "1"
    assert refusal.content.startswith("[ToolConstraintError] Cannot call c, valid tools include: ['a', 'b']")
    done = ToolReturn(tool_call_id="2", name="a", status="error", content="no")
    assert ToolRules.accepted([refusal, done]) == ["a"]


def test_what_ends_a_run_and_what_keeps_it_going():
    rules = ToolRules(ALL)

    assert (rules.ends("a"), rules.ends("b")) == (True, False)
    assert (rules.continues("a"), rules.continues("b")) == (True, False)
    assert (rules.has_children("a"), rules.has_children("b")) == (True, False)
    assert ToolRules([CONDITIONAL]).has_children("a")
    assert rules.missing([]) == ["a"]
    assert rules.missing(["b", "a"]) == []
    assert rules.needing_approval == {"a"}


def test_only_approval_lets_calls_run_together():
    assert not ToolRules([]).orders
    assert not ToolRules([APPROVAL]).orders
    assert all(ToolRules([rule]).orders for rule in ALL if rule is not APPROVAL)


def test_exact_repetitions_are_dropped():
    other = {**MAX, "max_count_limit": 3}

    assert deduplicate([MAX, FIRST, dict(MAX), other]) == [MAX, FIRST, other]


@pytest.mark.parametrize(
    "rule", [{"type": "fly", "tool_name": "a"}, {"type": "run_first"}, {**MAX, "max_count_limit": "x"}]
)
def test_a_bad_rule_is_refused(rule):
    with pytest.raises(ValidationError):
        ToolRules([rule])


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule["type"])
def test_rules_are_told_in_words(rule):
    text = render([rule])

    assert text.startswith("<tool_usage_rules>\n")
    assert text.endswith("\n</tool_usage_rules>")
    assert "\n- a " in text
    for child in rule.get("children", []):
        assert child in text


def test_no_rules_no_words():
    assert render([]) == ""


def test_clients_read_the_rules_as_they_are_kept():
    field = AgentState.model_fields["tool_rules"]

    read = TypeAdapter(field.annotation).validate_python(ALL)

    assert [rule.type for rule in read] == [rule["type"] for rule in ALL]
