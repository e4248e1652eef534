"""Tool rules: which tool may or must be called next, and when a run may end."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from actors.tools import schema
from actors.tools.execute import failed
from storage.records import Message, Tool, ToolCall, ToolReturn

REFUSED = "[ToolConstraintError]"
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


class Rules:
    """The rules of one agent during one run. The run tells it which calls were made; calls that
    were refused do not count.

    Args:
        rules: as ``Agent.tool_rules`` has them.
        tools: the agent's tools by name.
    """

    def __init__(self, rules: Iterable[dict[str, Any]], tools: Mapping[str, Tool]) -> None:
        self._rules = _RULES.validate_python(list(rules))
        self._tools = tools
        self._calls: list[str] = []
        self._output = ""
        self.needing_approval = {rule.tool_name for rule in self._of(RequiresApproval)}

    @property
    def ordered(self) -> bool:
        """Whether there are rules that depend on the order of calls, so that they cannot run together."""
        return any(not isinstance(rule, RequiresApproval) for rule in self._rules)

    def record(self, calls: Sequence[ToolCall], returns: Mapping[str, ToolReturn]) -> None:
        """Take note of a step's calls, with their returns by call id."""
        for call in calls:
            self._note(returns[call.id])

    def replay(self, message: Message) -> None:
        """Take note of what an earlier message of this run has called."""
        for returned in message.tool_returns:
            self._note(returned)

    def allowed(self) -> list[str]:
        """The tools that may be called next."""
        only = self._only()
        return [
            name
            for name in self._tools
            if not self._used_up(name) and (self._after_parent(name) if only is None else name in only)
        ]

    def choice(self, required: bool) -> str | None:
        """What the next model call is told about tools: ``None`` lets the model choose, ``required``
        asks for one of the allowed ones, else the name of the one that it has to call.

        Args:
            required: whether the agent's loop wants a tool call in any case.
        """
        allowed = self.allowed()
        must = self._only() is not None
        if not allowed or not (must or required):
            return None
        return allowed[0] if must and len(allowed) == 1 else "required"

    def prefill(self, call: ToolCall) -> ToolCall:
        """The call with the arguments that a rule sets, which win over the model's.

        Raises:
            ValueError: a rule's arguments do not fit the tool.
        """
        fixed = self._fixed(call.name)
        if not fixed:
            return call
        described = self._tools[call.name].json_schema
        parameters = {**described["parameters"], "required": []}
        schema.check({**described, "parameters": parameters}, fixed)
        try:
            given = json.loads(call.arguments or "{}")
        except ValueError:
            return call  # running it will tell the model what is wrong
        return call.model_copy(update={"arguments": json.dumps({**given, **fixed}, ensure_ascii=False)})

    def refuse(self, call: ToolCall) -> ToolReturn | None:
        """The return of a call that the rules forbid now; ``None`` if it may run."""
        allowed = self.allowed()
        if call.name in allowed or call.name not in self._tools:
            return None
        return failed(call, f"{REFUSED} Cannot call {call.name}, valid tools include: {allowed}.")

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

    def missing(self) -> list[str]:
        """Tools that have to be called before the run ends, and have not been."""
        wanted = dict.fromkeys(rule.tool_name for rule in self._of(RequiredBeforeExit))
        return [name for name in wanted if name not in self._calls]

    def _of(self, kind: type[_R]) -> list[_R]:
        return [rule for rule in self._rules if isinstance(rule, kind)]

    def _note(self, returned: ToolReturn) -> None:
        if not returned.content.startswith(REFUSED):
            self._calls.append(returned.name)
            self._output = returned.content

    def _only(self) -> set[str] | None:
        """The tools that a rule limits the next call to; ``None`` if none does."""
        if not self._calls:
            return {rule.tool_name for rule in self._of(RunFirst)} or None
        last, only = self._calls[-1], set[str]()
        limited = False
        for children in self._of(ConstrainChildTools):
            if children.tool_name == last:
                limited = True
                only.update(children.children)
        for condition in self._of(Conditional):
            if condition.tool_name == last:
                child = self._mapped(condition)
                limited = limited or child is not None or condition.require_output_mapping
                only.update([child] if child else [])
        return only if limited else None

    def _mapped(self, rule: Conditional) -> str | None:
        mapping = rule.child_output_mapping
        if self._output in mapping:
            return mapping[self._output]
        # A tool that returns True is read as "True", while JSON clients write "true".
        for output, child in mapping.items():
            if output.casefold() == self._output.casefold():
                return child
        return rule.default_child

    def _used_up(self, name: str) -> bool:
        limits = [rule.max_count_limit for rule in self._of(MaxCountPerStep) if rule.tool_name == name]
        return bool(limits) and self._calls.count(name) >= min(limits)

    def _after_parent(self, name: str) -> bool:
        parents = {rule.tool_name for rule in self._of(ParentLastTool) if name in rule.children}
        return not parents or (bool(self._calls) and self._calls[-1] in parents)

    def _fixed(self, name: str) -> dict[str, Any]:
        fixed: dict[str, Any] = {}
        if not self._calls:
            for first in self._of(RunFirst):
                fixed |= (first.args or {}) if first.tool_name == name else {}
            return fixed
        for parent in self._of(ConstrainChildTools):
            if parent.tool_name == self._calls[-1]:
                for node in parent.child_arg_nodes or []:
                    fixed |= (node.args or {}) if node.name == name else {}
        return fixed


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
            text = f"is the first tool you call."
        case ExitLoop():
            text = f"ends your turn."
        case ContinueLoop():
            text = f"is followed by another step of yours."
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
            text = f"has to be called before your turn ends."
        case RequiresApproval():
            text = f"only runs once the user has approved the call."
    return f"- {name} {text}"
