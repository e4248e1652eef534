"""The tools that every server has: their records, derived from the functions that declare them."""

import hashlib
import inspect
import uuid
from types import ModuleType

from actors.tools import archival, conversation, declared, memory_tools, schema
from storage.records import Tool

_TYPES = {
    "letta_core": (
        "send_message",
        "conversation_search",
        "archival_memory_insert",
        "archival_memory_search",
    ),
    "letta_memory_core": (
        "core_memory_append",
        "core_memory_replace",
        "memory",
        "memory_apply_patch",
    ),
    "letta_multi_agent_core": (
        "send_message_to_agent_and_wait_for_reply",
        "send_message_to_agents_matching_tags",
        "send_message_to_agent_async",
    ),
    "letta_sleeptime_core": (
        "memory_replace",
        "memory_insert",
        "memory_rethink",
        "memory_finish_edits",
    ),
    "letta_voice_sleeptime_core": (
        "store_memories",
        "rethink_user_memory",
        "finish_rethinking_memory",
        "search_memory",
    ),
    "letta_builtin": ("run_code", "run_code_with_tools", "web_search", "fetch_webpage"),
    "letta_files_core": ("open_files", "grep_files", "semantic_search_files"),
}
_HIDDEN = frozenset({"memory", "context"})


def _id(name: str) -> str:
    """Stable, so that a tool has the same id on every server and after every restart."""
    digest = hashlib.sha256(f"greenroom/{name}".encode()).digest()[:16]
    return f"tool-{uuid.UUID(bytes=digest, version=4)}"


def _table() -> dict[str, Tool]:
    sources: dict[ModuleType, str] = {
        module: inspect.getsource(module) for module in (conversation, archival, memory_tools, declared)
    }
    tools = {}
    for tool_type, names in _TYPES.items():
        for name in names:
            source = next(text for module, text in sources.items() if hasattr(module, name))
            described = schema.derive(source, name, hidden=_HIDDEN)
            tools[name] = Tool(
                id=_id(name),
                name=name,
                tool_type=tool_type,
                description=described["description"],
                json_schema=described,
                tags=[tool_type],
            )
    return tools


BUILTIN: dict[str, Tool] = _table()
"""The built-in tools by name."""
BY_ID: dict[str, Tool] = {tool.id: tool for tool in BUILTIN.values()}
