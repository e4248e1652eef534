"""After a step: does the run go on, and why does it end?

Two kinds of agent. Those that stop when they answer in plain text (``letta_v1_agent`` and
``sleeptime_agent``), and older types that speak through ``send_message`` and ask for another turn
with ``request_heartbeat``. The rules are those of the v1 API.
"""

import json
from dataclasses import dataclass

from actors.packing import HIDDEN
from actors.tools.rules import ToolRules
from actors.tools.schema import HEARTBEAT
from storage.records import StopReason, ToolCall, ToolReturn


@dataclass(slots=True)
class Turn:
    """What a step did, as far as it decides what comes next."""

    calls: list[ToolCall]
    returns: list[ToolReturn]
    called: list[str]
    """Names of all tools the run has called so far, this step's included, refused ones left out."""
    finish_reason: str
    last: bool
    """No further step is allowed."""


@dataclass(slots=True)
class Next:
    """The run ends for a reason, or goes on, told why by a ``nudge``."""

    stop: StopReason | None = None
    nudge: str | None = None


def after_plain_step(turn: Turn, rules: ToolRules) -> Next:
    """For agents that answer in plain text."""
    if turn.calls:
        if any(rules.ends(call.name) for call in _done(turn)):
            return Next("tool_rule")
        return Next("max_steps" if turn.last else None)
    if turn.finish_reason == "length":
        return Next("max_tokens_exceeded")
    missing = ", ".join(rules.missing(turn.called))
    if not missing:
        return Next("end_turn")
    if turn.last:
        return Next("max_steps")
    return Next(nudge=f"{HIDDEN}ToolRuleViolated: You must call {missing} at least once to exit the loop.")


def after_heartbeat_step(turn: Turn, rules: ToolRules) -> Next:
    """For agents that speak through ``send_message`` and ask for heartbeats."""
    if not turn.calls:
        return Next("max_tokens_exceeded" if turn.finish_reason == "length" else "no_tool_call")
    asked = any(_asks_for_heartbeat(call) for call in turn.calls)
    done, missing = _done(turn), rules.missing(turn.called)
    if any(rules.ends(call.name) for call in done) and not missing:
        return Next("tool_rule" if asked else "end_turn")
    if any(call.name not in turn.called for call in turn.calls):
        nudge = "Continuing: tool rule violation."
    elif rules.has_children(turn.calls[-1].name):
        nudge = "Continuing: child tool rule."
    elif any(rules.continues(call.name) for call in turn.calls):
        nudge = "Continuing: continue tool rule."
    elif missing:
        nudge = f"Continuing, user expects these tools: [{', '.join(missing)}] to be called still."
    elif len(done) < len(turn.calls):
        nudge = "Function call failed, returning control"
    elif asked:
        nudge = "Function called using request_heartbeat=true, returning control"
    else:
        return Next("end_turn")
    return Next("max_steps") if turn.last else Next(nudge=nudge)


def _done(turn: Turn) -> list[ToolCall]:
    failed = {each.tool_call_id for each in turn.returns if each.status == "error"}
    return [call for call in turn.calls if call.id not in failed]


def _asks_for_heartbeat(call: ToolCall) -> bool:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        return False  # its return has told the model already
    return isinstance(arguments, dict) and str(arguments.get(HEARTBEAT)).lower() == "true"
