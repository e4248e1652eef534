"""What is in an agent's context window, on the wire."""

from datetime import datetime
from typing import Any

import orjson
from typing_extensions import TypedDict

from actors.models import count
from actors.prompt.system import memory_section, metadata_section
from actors.tools import rules
from server.wire.common import Query, Short
from storage.commits import State
from storage.queries import Contents
from storage.records import Agent, Block, Message, now


class InternalMessage(TypedDict):
    """A message as it is stored, which the API shows only here."""

    id: str
    role: str
    content: list[dict[str, Any]]
    agent_id: str
    model: str
    name: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str | None
    tool_returns: list[dict[str, Any]]
    created_at: datetime
    otid: str | None
    sender_id: str | None
    group_id: str | None
    run_id: str | None
    step_id: str | None
    is_err: bool | None


class ContextWindowOverview(TypedDict):
    context_window_size_max: int
    context_window_size_current: int
    num_messages: int
    num_archival_memory: int
    num_recall_memory: int
    num_tokens_external_memory_summary: int
    external_memory_summary: str
    num_tokens_system: int
    system_prompt: str
    num_tokens_core_memory: int
    core_memory: str
    num_tokens_memory_filesystem: int
    memory_filesystem: str | None
    num_tokens_tool_usage_rules: int
    tool_usage_rules: str | None
    num_tokens_directories: int
    directories: str | None
    num_tokens_summary_memory: int
    summary_memory: str | None
    num_tokens_functions_definitions: int
    functions_definitions: list[dict[str, Any]]
    num_tokens_messages: int
    messages: list[InternalMessage]


class RetrieveContext(Query):
    conversation_id: Short | None = None


class Recompile(Query):
    dry_run: bool = False


def context_overview(
    state: State, blocks: list[Block], system: str, schemas: list[dict[str, Any]], archival: Contents
) -> ContextWindowOverview:
    """The parts of an agent's next prompt and their sizes in tokens.

    Args:
        state: the agent.
        blocks: its memory.
        system: its system prompt, compiled from that memory.
        schemas: function schemas of the tools on offer.
        archival: what its archive has in it.
    """
    agent, messages = state.agent, state.context[1:]
    model, recall = agent.llm_config.model, state.history - len(state.context)
    summaries = [message for message in messages if message.role == "summary"]
    texts = {
        "system": agent.system,
        "core_memory": memory_section(agent, blocks),
        "tool_usage_rules": rules.render(agent.tool_rules),
        "external_memory_summary": metadata_section(
            agent, recall=recall, at=now(), archival=archival.passages, archive_tags=archival.tags
        ),
        "summary_memory": "\n".join(message.text() for message in summaries),
        "functions_definitions": orjson.dumps(schemas).decode() if schemas else "",
    }
    tokens = {name: count(text, model) for name, text in texts.items()}
    said = sum(message.tokens for message in messages if message.role != "summary")
    shown = [state.context[0].model_copy(update={"content": system}), *messages]
    return {
        "context_window_size_max": agent.llm_config.context_window,
        "context_window_size_current": sum(tokens.values()) + said,
        "num_messages": len(state.context),
        "num_archival_memory": archival.passages,
        "num_recall_memory": state.history,
        "num_tokens_external_memory_summary": tokens["external_memory_summary"],
        "external_memory_summary": texts["external_memory_summary"],
        "num_tokens_system": tokens["system"],
        "system_prompt": texts["system"],
        "num_tokens_core_memory": tokens["core_memory"],
        "core_memory": texts["core_memory"],
        "num_tokens_memory_filesystem": 0,
        "memory_filesystem": None,
        "num_tokens_tool_usage_rules": tokens["tool_usage_rules"],
        "tool_usage_rules": texts["tool_usage_rules"] or None,
        "num_tokens_directories": 0,
        "directories": None,
        "num_tokens_summary_memory": tokens["summary_memory"],
        "summary_memory": texts["summary_memory"] or None,
        "num_tokens_functions_definitions": tokens["functions_definitions"],
        "functions_definitions": [{"type": "function", "function": schema} for schema in schemas],
        "num_tokens_messages": said,
        "messages": [internal_message(message, agent) for message in shown],
    }


def internal_message(message: Message, agent: Agent) -> InternalMessage:
    returns = message.tool_returns
    return {
        "id": message.id,
        "role": message.role,
        "content": _content(message),
        "agent_id": agent.id,
        "model": agent.llm_config.model,
        "name": message.name,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
        or None,
        "tool_call_id": returns[0].tool_call_id if returns else None,
        "tool_returns": [
            {
                "tool_call_id": each.tool_call_id,
                "status": each.status,
                "func_response": each.content,
                "stdout": each.stdout or None,
                "stderr": each.stderr or None,
            }
            for each in returns
        ],
        "created_at": message.created_at,
        "otid": message.otid,
        "sender_id": message.sender_id,
        "group_id": message.group_id,
        "run_id": message.run_id,
        "step_id": message.step_id,
        "is_err": None,
    }


def _content(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if message.reasoning:
        parts.append(
            {
                "type": "reasoning",
                "is_native": True,
                "reasoning": message.reasoning,
                "signature": message.reasoning_signature,
            }
        )
    elif message.reasoning_signature:
        parts.append({"type": "redacted_reasoning", "data": message.reasoning_signature})
    if isinstance(message.content, list):
        return [*parts, *message.content]
    texts = [message.content, *(each.content for each in message.tool_returns)]
    return [*parts, *({"type": "text", "text": text} for text in texts if text)]
