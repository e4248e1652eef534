"""From a prompt to the scripted model's answer."""

import json
from collections import Counter
from typing import Any
from uuid import uuid4

from actors.models import tokens
from actors.models.request import Completion
from actors.models.scripted.prompt import Prompt, read
from actors.models.scripted.rules import Call, Plan, make_plan
from storage.records import ToolCall, Usage

SAY_TOOL = "send_message"
THOUGHTS = ("thinking", "inner_thoughts")


def respond(
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    tool_choice: str | None = None,
    *,
    parallel: bool = True,
) -> Completion:
    """Answer a prompt. The same prompt always gets the same answer; only ids are fresh.

    Args:
        messages: chat-completions messages, oldest first.
        tools: function schemas on offer.
        tool_choice: ``None`` or ``"auto"``, ``"none"``, ``"required"``, or the name of a tool.
        parallel: whether more than one tool may be called at once.
    """
    prompt = read(messages, tools if tool_choice != "none" else [])
    plan = make_plan(prompt)
    calls = _still_to_call(plan, prompt)
    if tool_choice not in (None, "auto", "none") or calls:
        calls = _obey(tool_choice, calls, plan, prompt)
    calls = calls if parallel else calls[:1]
    made = [
        ToolCall(id=f"call_{uuid4().hex[:24]}", name=call.tool, arguments=_arguments(call, prompt))
        for call in calls
    ]
    text = None if made else plan.say
    written = tokens.estimate((text or "") + "".join(call.name + call.arguments for call in made))
    thought = tokens.estimate(plan.reasoning or "")
    asked = tokens.estimate_prompt(messages, tools)
    return Completion(
        text=text,
        reasoning=plan.reasoning,
        tool_calls=made,
        usage=Usage(
            prompt_tokens=asked,
            completion_tokens=written + thought,
            total_tokens=asked + written + thought,
            reasoning_tokens=thought,
        ),
        finish_reason="tool_calls" if made else "stop",
        response_id=f"scripted-{uuid4().hex}",
    )


def _still_to_call(plan: Plan, prompt: Prompt) -> list[Call]:
    done = Counter(prompt.called)
    left = []
    for call in plan.calls:
        if done[call.tool]:
            done[call.tool] -= 1
        else:
            left.append(call)
    return left


def _obey(tool_choice: str | None, calls: list[Call], plan: Plan, prompt: Prompt) -> list[Call]:
    if tool_choice in (None, "auto"):
        return calls
    if tool_choice == "required":
        if calls:
            return calls
        tool = SAY_TOOL if SAY_TOOL in prompt.tools else _freshest(prompt)
    else:
        tool = str(tool_choice)
        if any(call.tool == tool for call in calls):
            return [call for call in calls if call.tool == tool]
    arguments = {"message": plan.say} if tool == SAY_TOOL else _invented(prompt.tools.get(tool, {}), prompt)
    return [Call(tool, arguments)]


def _freshest(prompt: Prompt) -> str:
    """Some tool, rather one that has not been called for this message."""
    return next((tool for tool in prompt.tools if tool not in prompt.called), next(iter(prompt.tools)))


def _arguments(call: Call, prompt: Prompt) -> str:
    if isinstance(call.arguments, str):
        return call.arguments
    properties = prompt.tools.get(call.tool, {}).get("properties", {})
    extra: dict[str, Any] = {key: "I follow a fixed rule." for key in THOUGHTS if key in properties}
    if "request_heartbeat" in properties:
        extra["request_heartbeat"] = call.tool != SAY_TOOL
    return json.dumps({**extra, **call.arguments}, ensure_ascii=False)


def _invented(schema: dict[str, Any], prompt: Prompt) -> dict[str, Any]:
    """Arguments for a tool that has to be called although no rule knows what for."""
    properties = schema.get("properties", {})
    return {
        name: _value(properties.get(name, {}), prompt)
        for name in schema.get("required", ())
        if name not in (*THOUGHTS, "request_heartbeat")
    }


def _value(schema: dict[str, Any], prompt: Prompt) -> Any:
    if "default" in schema:
        return schema["default"]
    if schema.get("enum"):
        return schema["enum"][0]
    number = schema.get("minimum", 1)
    by_type = {"integer": number, "number": number, "boolean": False, "array": [], "object": {}}
    return by_type.get(str(schema.get("type")), prompt.user)
