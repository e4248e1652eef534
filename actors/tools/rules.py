"""Tool rules: which tool may or must be called next, and when a run may end."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from actors.tools.execute import failed, parse_arguments
from storage.records import ToolCall, ToolReturn

_REFUSED = "[ToolConstraintError]"
"""How the return of a call that the rules forbid begins."""


class _Rule(BaseModel):
    model_config = ConfigDict(extra="ignore")

    tool_name: str
    prompt_template: str | None = None
    """Accepted from clients and kept, but the prompt's wording is ours."""


class ChildArgs(BaseModel):
    name: str
    args: dict[str, Any] | None = None


class RunFirst(_Rule):
    type: Literal["run_first"] = "run_first"
    args: dict[str, Any] | None = None


class ExitLoop(_Rule):
    type: Literal["exit_loop"] = "exit_loop"


class ContinueLoop(_Rule):
    type: Literal["continue_loop"] = "continue_loop"


class Conditional(_Rule):
    type: Literal["conditional"] = "conditional"
    child_output_mapping: dict[str, str]
    default_child: str | None = None
    require_output_mapping: bool = False


class ConstrainChildTools(_Rule):
    type: Literal["constrain_child_tools"] = "constrain_child_tools"
    children: list[str]
    child_arg_nodes: list[ChildArgs] | None = None


class MaxCountPerStep(_Rule):
    type: Literal["max_count_per_step"] = "max_count_per_step"
    max_count_limit: int


class ParentLastTool(_Rule):
    type: Literal["parent_last_tool"] = "parent_last_tool"
    children: list[str]


class RequiredBeforeExit(_Rule):
    type: Literal["required_before_exit"] = "required_before_exit"


class RequiresApproval(_Rule):
    type: Literal["requires_approval"] = "requires_approval"


ToolRule = Annotated[
    RunFirst
    | ExitLoop
    | ContinueLoop
    | Conditional
    | ConstrainChildTools
    | MaxCountPerStep
    | ParentLastTool
    | RequiredBeforeExit
    | RequiresApproval,
    Field(discriminator="type"),
]
_RULES: TypeAdapter[list[ToolRule]] = TypeAdapter(list[ToolRule])


def deduplicate(rules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules without exact repetitions, in their order."""
    kept: list[dict[str, Any]] = []
    for rule in rules:
        if rule not in kept:
            kept.append(rule)
    return kept


_R = TypeVar("_R", bound=_Rule)


class ToolRules:
    """The rules of one agent. Here ``calls`` are the names of the tools that the run has called so
    far, refused calls left out, and ``output`` is what the last of them returned.

    Args:
        rules: as ``Agent.tool_rules`` has them.
    """

    def __init__(self, rules: Iterable[dict[str, Any]]) -> None:
        self._rules = _RULES.validate_python(list(rules))
        self.needing_approval = {rule.tool_name for rule in self._of(RequiresApproval)}
        self.orders = any(not isinstance(rule, RequiresApproval) for rule in self._rules)
        """Whether a rule depends on the order of calls, so that they cannot run at the same time."""

    def allowed(self, tools: Iterable[str], calls: Sequence[str], output: str | None = None) -> list[str]:
        """The tools, out of ``tools``, that may be called next."""
        only = self._only(calls, output or "")
        return [
            name
            for name in tools
            if not self._used_up(name, calls)
            and (self._after_parent(name, calls) if only is None else name in only)
        ]

    def must_call(self, calls: Sequence[str]) -> bool:
        """Whether a rule demands a tool call next, whatever the model would rather do."""
        return self.has_children(calls[-1]) if calls else bool(self._of(RunFirst))

    def prefilled(self, name: str, calls: Sequence[str]) -> dict[str, Any]:
        """The arguments that a rule sets for the next call of this tool."""
        if not calls:
            nodes = [(rule.tool_name, rule.args) for rule in self._of(RunFirst)]
        else:
            parents = [rule for rule in self._of(ConstrainChildTools) if rule.tool_name == calls[-1]]
            nodes = [(node.name, node.args) for rule in parents for node in rule.child_arg_nodes or []]
        found: dict[str, Any] = {}
        for tool_name, arguments in nodes:
            if tool_name == name:
                found |= arguments or {}
        return found

    @staticmethod
    def with_arguments(call: ToolCall, prefilled: dict[str, Any]) -> ToolCall:
        """The call with these arguments in place of the model's of the same names."""
        try:
            given = parse_arguments(call)
        except ValueError:
            return call  # running it tells the model what is wrong
        return call.model_copy(update={"arguments": json.dumps({**given, **prefilled}, ensure_ascii=False)})

    @staticmethod
    def refuse(call: ToolCall, allowed: Sequence[str]) -> ToolReturn:
        """The return of a call that the rules forbid now."""
        return failed(call, f"{_REFUSED} Cannot call {call.name}, valid tools include: {list(allowed)}.")

    @staticmethod
    def accepted(returns: Iterable[ToolReturn]) -> list[str]:
        """Names of the tools that were called, refused calls left out."""
        return [each.name for each in returns if not each.content.startswith(_REFUSED)]

    def ends(self, name: str) -> bool:
        """Whether a call of this tool ends the run."""
        return any(rule.tool_name == name for rule in self._of(ExitLoop))

    def continues(self, name: str) -> bool:
        """Whether the run goes on after a call of this tool, by a rule that says just that."""
        return any(rule.tool_name == name for rule in self._of(ContinueLoop))

    def has_children(self, name: str) -> bool:
        """Whether the run goes on after a call of this tool, because another has to follow."""
        parents = (*self._of(ConstrainChildTools), *self._of(Conditional))
        return any(rule.tool_name == name for rule in parents)

    def missing(self, calls: Sequence[str]) -> list[str]:
        """Tools that have to be called before the run ends, and have not been."""
        wanted = dict.fromkeys(rule.tool_name for rule in self._of(RequiredBeforeExit))
        return [name for name in wanted if name not in calls]

    def _of(self, kind: type[_R]) -> list[_R]:
        return [rule for rule in self._rules if isinstance(rule, kind)]

    def _only(self, calls: Sequence[str], output: str) -> set[str] | None:
        """The tools that a rule limits the next call to; ``None`` if none does."""
        if not calls:
            return {rule.tool_name for rule in self._of(RunFirst)} or None
        limits: list[set[str]] = [
            set(rule.children) for rule in self._of(ConstrainChildTools) if rule.tool_name == calls[-1]
        ]
        for rule in self._of(Conditional):
            if rule.tool_name == calls[-1]:
                child = _mapped(rule, output)
                if child or rule.require_output_mapping:
                    limits.append({child} if child else set())
        return set().union(*limits) if limits else None

    def _used_up(self, name: str, calls: Sequence[str]) -> bool:
        limits = [rule.max_count_limit for rule in self._of(MaxCountPerStep) if rule.tool_name == name]
        return bool(limits) and calls.count(name) >= min(limits)

    def _after_parent(self, name: str, calls: Sequence[str]) -> bool:
        parents = {rule.tool_name for rule in self._of(ParentLastTool) if name in rule.children}
        return not parents or (bool(calls) and calls[-1] in parents)


def _mapped(rule: Conditional, output: str) -> str | None:
    if output in rule.child_output_mapping:
        return rule.child_output_mapping[output]
    # A tool that returns True is read as "True", while JSON clients write "true".
    for case, child in rule.child_output_mapping.items():
        if case.casefold() == output.casefold():
            return child
    return rule.default_child


def render(rules: Iterable[dict[str, Any]]) -> str:
    """The rules in words, for the prompt; empty without rules."""
    lines = [_words(rule) for rule in _RULES.validate_python(list(rules))]
    if not lines:
        return ""
    text = "\n".join(["Your tools can only be used in this way:", *lines])
    return f"<tool_usage_rules>\n{text}\n</tool_usage_rules>"


def _words(rule: ToolRule) -> str:
    name = rule.tool_name
    match rule:
        case RunFirst():
            text = "is the first tool you call."
        case ExitLoop():
            text = "ends your turn."
        case ContinueLoop():
            text = "is followed by another step of yours."
        case Conditional():
            cases = [f"{child} if it returns {output}" for output, child in rule.child_output_mapping.items()]
            other = [f"else {rule.default_child}"] if rule.default_child else []
            text = f"is followed by {', '.join(cases + other)}."
        case ConstrainChildTools():
            text = f"is followed by one of: {', '.join(rule.children)}."
        case MaxCountPerStep():
            text = f"can be called {rule.max_count_limit} times at most before you answer."
        case ParentLastTool():
            text = f"has to come right before any call of: {', '.join(rule.children)}."
        case RequiredBeforeExit():
            text = "has to be called before your turn ends."
        case RequiresApproval():
            text = "only runs once the user has approved the call."
    return f"- {name} {text}"
