"""Tool rules in requests: which tool may, must or must not be called when."""

from typing import Annotated, Literal

from pydantic import Field

from server.wire.common import Body, Key, Keys, Object, Text


class _Rule(Body):
    tool_name: Key
    prompt_template: Text | None = None


class RunFirst(_Rule):
    type: Literal["run_first"]
    args: Object | None = None


class ExitLoop(_Rule):
    type: Literal["exit_loop"]


class ContinueLoop(_Rule):
    type: Literal["continue_loop"]


class Conditional(_Rule):
    type: Literal["conditional"]
    child_output_mapping: dict[str, Key]
    default_child: Key | None = None
    require_output_mapping: bool = False


class ChildArguments(Body):
    name: Key
    args: Object | None = None


class ConstrainChildTools(_Rule):
    type: Literal["constrain_child_tools"]
    children: Keys
    child_arg_nodes: list[ChildArguments] | None = None


class MaxCountPerStep(_Rule):
    type: Literal["max_count_per_step"]
    max_count_limit: int = Field(ge=0, le=1_000_000)


class ParentLastTool(_Rule):
    type: Literal["parent_last_tool"]
    children: Keys


class RequiredBeforeExit(_Rule):
    type: Literal["required_before_exit"]


class RequiresApproval(_Rule):
    type: Literal["requires_approval"]


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
