"""Whether a run goes on after a step, for both loops that agents can have.

Each answers with a stop reason, or with ``None`` to go on, and the reason that the model is told
for its next turn, if it is told one.
"""

import json
from collections.abc import Mapping, Sequence

from actors.tools.rules import REFUSED, Rules
from actors.tools.schema import HEARTBEAT
from storage.records import StopReason, ToolCall, ToolReturn

Decision = tuple[StopReason | None, str | None]


def after_tools(
    rules: Rules, calls: Sequence[ToolCall], returns: Mapping[str, ToolReturn], finish_reason: str, last: bool
) -> Decision:
    """The plain loop: a step without tool calls is the answer and ends the run.

    Args:
        rules: with this step's calls recorded.
        calls: what the model called in this step.
        returns: their returns, by call id.
        finish_reason: why the model stopped writing.
        last: whether this was the last step that the run may take.
    """
    if finish_reason == "length":
        return "max_tokens_exceeded", None
    if any(rules.ends(call.name) for call in _done(calls, returns)):
        return "tool_rule", None
    if not calls and not rules.missing():
        return "end_turn", None
    if last:
        return "max_steps", None
    if calls:
        return None, None
    names = ", ".join(rules.missing())
    return None, f"ToolRuleViolated: You must call {names} at least once to exit the loop."


def after_heartbeats(
    rules: Rules, calls: Sequence[ToolCall], returns: Mapping[str, ToolReturn], finish_reason: str, last: bool
) -> Decision:
    """The loop of the older agent types: every step is a tool call, and a call says whether the
    model wants another turn. Arguments as for :func:`after_tools`."""
    if finish_reason == "length":
        return "max_tokens_exceeded", None
    if not calls:
        return "no_tool_call", None
    asked = any(_asks_for_heartbeat(call) for call in calls)
    violated = any(returns[call.id].content.startswith(REFUSED) for call in calls)
    if not violated and any(rules.ends(call.name) for call in _done(calls, returns)):
        return "tool_rule" if asked else "end_turn", None
    if violated:
        reason = "Continuing: tool rule violation."
    elif rules.has_children(calls[-1].name):
        reason = "Continuing: child tool rule."
    elif any(rules.continues(call.name) for call in calls):
        reason = "Continuing: continue tool rule."
    elif missing := rules.missing():
        reason = f"Continuing, user expects these tools: [{', '.join(missing)}] to be called still."
    elif any(returns[call.id].status == "error" for call in calls):
        reason = "Function call failed, returning control"
    elif asked:
        reason = "Function called using request_heartbeat=true, returning control"
    else:
        return "end_turn", None
    return ("max_steps", None) if last else (None, reason)


def _done(calls: Sequence[ToolCall], returns: Mapping[str, ToolReturn]) -> list[ToolCall]:
    return [call for call in calls if returns[call.id].status == "success"]


def _asks_for_heartbeat(call: ToolCall) -> bool:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return False  # its return has told the model already
    return isinstance(arguments, dict) and arguments.get(HEARTBEAT) is True
