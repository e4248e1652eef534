"""Tool rules: which tool may or must be called next, and when a run may end."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


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


class ToolRules:
    """The rules of one agent. A run's ``calls`` are the names of the tools it called so far, refused
    calls left out; ``output`` is what the last one returned.

    Args:
        rules: as ``Agent.tool_rules`` has them.
    """

    def __init__(self, rules: Iterable[dict[str, Any]]) -> None:
        self._rules = _RULES.validate_python(list(rules))
        self.needing_approval = {rule.tool_name for rule in self._of(RequiresApproval)}

    def allowed(self, tools: Iterable[str], calls: Sequence[str], output: str | None = None) -> list[str]:
        """The tools, out of ``tools``, that may be called next."""
        only = self._only(calls, output)
        return [
            name
            for name in tools
            if not self._used_up(name, calls)
            and (name in only if only is not None else self._parent_was_last(name, calls))
        ]

    def must_call(self, calls: Sequence[str]) -> bool:
        """Whether the next step has to be a tool call, whatever the model would rather do."""
        return not calls and bool(self._of(RunFirst)) or bool(calls) and self._has_children(calls[-1])

    def prefilled(self, name: str, calls: Sequence[str]) -> dict[str, Any]:
        """Arguments that the next call of this tool gets whatever the model gives."""
        arguments: dict[str, Any] = {}
        if not calls:
            for first in self._of(RunFirst):
                if first.tool_name == name:
                    arguments |= first.args or {}
            return arguments
        for parent in self._of(ConstrainChildTools):
            if parent.tool_name == calls[-1]:
                for node in parent.child_arg_nodes or []:
                    if node.name == name:
                        arguments |= node.args or {}
        return arguments

    def ends(self, name: str) -> bool:
        """Whether a call of this tool ends the run."""
        return any(rule.tool_name == name for rule in self._of(ExitLoop))

    def continues(self, name: str) -> bool:
        """Whether the run goes on after a call of this tool because of a ``continue_loop`` rule."""
        return any(rule.tool_name == name for rule in self._of(ContinueLoop))

    def has_children(self, name: str) -> bool:
        """Whether the run goes on after a call of this tool because others have to follow."""
        return self._has_children(name)

    def missing(self, calls: Sequence[str]) -> list[str]:
        """Tools that have to be called before the run may end and have not been."""
        return list(dict.fromkeys(r.tool_name for r in self._of(RequiredBeforeExit) if r.tool_name not in calls))
