"""One tool call: arguments in, return out, and whatever goes wrong told to the model."""

import json
from typing import Any

import orjson

from actors.tools import schema
from actors.tools.archival import ARCHIVAL_TOOLS
from actors.tools.builtin import BY_ID
from actors.tools.context import ToolContext
from actors.tools.conversation import CONVERSATION_TOOLS
from actors.tools.memory_tools import MEMORY_TOOLS
from storage.errors import GreenroomError
from storage.records import Tool, ToolCall, ToolReturn

_ERROR_LIMIT = 1_000


async def execute(call: ToolCall, context: ToolContext) -> ToolReturn:
    """Run one tool call. Whatever is wrong with it becomes a return with status ``error``; only a
    bug of ours is raised."""
    tool = context.tools.get(call.name)
    if tool is None:
        names = ", ".join(sorted(context.tools)) or "none"
        return failed(call, f"There is no tool named {call.name}. Available tools: {names}.")
    try:
        result = await _run(tool, schema.check(tool.json_schema, parse_arguments(call)), context)
    except (ValueError, GreenroomError) as error:
        return failed(call, f"Error executing function {call.name}: {type(error).__name__}: {error}")
    content = cut(as_text(result), tool.return_char_limit)
    return ToolReturn(tool_call_id=call.id, name=call.name, status="success", content=content)


def parse_arguments(call: ToolCall) -> dict[str, Any]:
    """The arguments of a call, without those that are for the agent's loop.

    Raises:
        ValueError: they are no JSON object.
    """
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the arguments are not valid JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ValueError("the arguments must be a JSON object")  # noqa: TRY004 - one error for the model
    return {
        name: value for name, value in arguments.items() if name not in (schema.HEARTBEAT, schema.THINKING)
    }


def failed(call: ToolCall, text: str) -> ToolReturn:
    """A return that tells the model why its call did not work."""
    return ToolReturn(tool_call_id=call.id, name=call.name, status="error", content=text[:_ERROR_LIMIT])


def as_text(result: Any) -> str:
    """What a tool returned, as the model reads it."""
    if isinstance(result, dict | list):
        return json.dumps(result, ensure_ascii=False, default=str)
    return str(result)


def cut(text: str, limit: int) -> str:
    """The text, or its first ``limit`` characters and a note that there was more."""
    if len(text) <= limit:
        return text
    return (
        f"{text[:limit]}... [NOTE: function output was truncated since it exceeded the character limit: "
        f"{len(text)} > {limit}]"
    )


async def _run(tool: Tool, arguments: dict[str, Any], context: ToolContext) -> Any:
    if tool.id in BY_ID:
        if edit := MEMORY_TOOLS.get(tool.name):
            return edit(context.memory, **arguments)
        if work := (CONVERSATION_TOOLS | ARCHIVAL_TOOLS).get(tool.name):
            return await work(context, **arguments)
    raise ValueError(f"this version of the server does not run the tool {tool.name}")
