"""What the agent types differ in: loop, tools, rules, prompt and first messages."""

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actors import system_prompts
from actors.packing import pack_login, pack_system_alert, pack_user_message
from actors.tools.rules import deduplicate
from storage.ids import new_id
from storage.records import Agent, AgentType, Message, Tool, ToolCall, ToolReturn

DEFAULT_DESCRIPTIONS = {
    "human": (
        "The human block: what you know about the person you talk with, such as their name, background, "
        "preferences and plans. Keep it current to be a better partner in conversation."
    ),
    "persona": (
        "The persona block: who you are, how you behave and how you speak. Stay true to it, and refine it "
        "as you learn what you want to be like."
    ),
}
"""For blocks of these labels that come without a description."""

_SLEEPTIME_CHAT = ("send_message", "conversation_search", "archival_memory_search")
_LEGACY = (
    "send_message",
    "conversation_search",
    "core_memory_append",
    "core_memory_replace",
    "memory",
    "memory_apply_patch",
)
_EXIT = frozenset({"send_message", "send_message_to_agent_async", "memory_finish_edits"})
_BASE_TYPES = frozenset({"letta_core", "letta_memory_core", "letta_sleeptime_core"})
_RULELESS_MODELS = ("claude-4-sonnet", "claude-3-5-sonnet", "gpt-5", "gemini-2.5-pro")
_GREETING = "Hello! I am awake and ready to talk."
_FIRST_THOUGHT = "I have just been started. My memory is in place, and someone is about to log in."


@dataclass(frozen=True, slots=True)
class Kind:
    """What all agents of one type have in common."""

    base_tools: tuple[str, ...]
    system: str
    heartbeats: bool = False
    renders_memory: bool = True
    line_numbers: bool = False
    """Whether blocks are shown with line numbers to models that take well to them."""
    autoclear: bool = False
    """Whether an agent forgets its context after each run, whatever it was created with."""
    sleeptime_chat: bool = True
    """Whether an agent created with ``enable_sleeptime`` leaves memory edits to its sleeptime agent."""


_PLAIN_TOOLS = ("conversation_search", "memory_insert", "memory_replace")
_SLEEPTIME_TOOLS = ("memory_replace", "memory_insert", "memory_rethink", "memory_finish_edits")
_V2_TOOLS = ("send_message", "conversation_search", "memory_replace", "memory_insert")
_VOICE_SLEEPTIME_TOOLS = ("store_memories", "rethink_user_memory", "finish_rethinking_memory")
_MEMGPT = Kind(_LEGACY, system_prompts.HEARTBEAT, heartbeats=True)

_KINDS: dict[AgentType, Kind] = {
    "letta_v1_agent": Kind(_PLAIN_TOOLS, system_prompts.PLAIN, line_numbers=True),
    "memgpt_v2_agent": Kind(_V2_TOOLS, system_prompts.HEARTBEAT, heartbeats=True, line_numbers=True),
    "memgpt_agent": _MEMGPT,
    "split_thread_agent": _MEMGPT,
    "sleeptime_agent": Kind(
        _SLEEPTIME_TOOLS, system_prompts.SLEEPTIME, line_numbers=True, sleeptime_chat=False
    ),
    "voice_convo_agent": Kind(
        ("send_message", "search_memory"), system_prompts.HEARTBEAT, heartbeats=True, sleeptime_chat=False
    ),
    "voice_sleeptime_agent": Kind(
        _VOICE_SLEEPTIME_TOOLS, system_prompts.SLEEPTIME, heartbeats=True, sleeptime_chat=False
    ),
    "react_agent": Kind((), system_prompts.WORKFLOW, heartbeats=True, renders_memory=False),
    "workflow_agent": Kind(
        (), system_prompts.WORKFLOW, heartbeats=True, renders_memory=False, autoclear=True
    ),
}


def get(agent_type: AgentType) -> Kind:
    """What agents of this type have in common."""
    return _KINDS[agent_type]


def uses_heartbeats(agent_type: AgentType) -> bool:
    """Whether every step of such an agent has to be a tool call, and a call asks for the next step.
    Otherwise a step without a tool call is the answer."""
    return get(agent_type).heartbeats


def base_tools(agent_type: AgentType, *, enable_sleeptime: bool = False) -> tuple[str, ...]:
    """Names of the tools that an agent of this type is created with."""
    kind = get(agent_type)
    return _SLEEPTIME_CHAT if enable_sleeptime and kind.sleeptime_chat else kind.base_tools


def tool_rules(
    agent_type: AgentType,
    tools: Iterable[Tool],
    given: Sequence[dict[str, Any]] | None,
    *,
    model: str,
    include_base: bool | None = None,
    enable_sleeptime: bool = False,
) -> list[dict[str, Any]]:
    """The rules that an agent is created with: the given ones, those of its base tools, and an
    approval rule for each tool that asks for it.

    Args:
        agent_type: what the agent is.
        tools: the tools attached to it.
        given: the rules that the client asks for.
        model: the model's name without its provider; some need no rules for base tools.
        include_base: the client's word on base tools' rules; ``None`` leaves it to us.
        enable_sleeptime: whether it is created with a sleeptime agent.
    """
    attached = list(tools)
    rules = list(given or [])
    if _wants_base_rules(agent_type, given, model, include_base, enable_sleeptime):
        for tool in attached:
            if tool.name in _EXIT:
                rules.append({"type": "exit_loop", "tool_name": tool.name})
            elif tool.tool_type in _BASE_TYPES:
                rules.append({"type": "continue_loop", "tool_name": tool.name})
    rules += [
        {"type": "requires_approval", "tool_name": tool.name}
        for tool in attached
        if tool.default_requires_approval
    ]
    return deduplicate(rules)


def _wants_base_rules(
    agent_type: AgentType,
    given: Sequence[dict[str, Any]] | None,
    model: str,
    include_base: bool | None,
    enable_sleeptime: bool,
) -> bool:
    if include_base is not None:
        return include_base
    if agent_type == "letta_v1_agent" and not given and not enable_sleeptime:
        return False
    knows_better = any(name in model for name in _RULELESS_MODELS) and "mini" not in model
    return agent_type == "sleeptime_agent" or not knows_better


def boot_messages(agent: Agent, at: datetime) -> list[Message]:
    """The messages, after the system message, that a new agent starts with. Only agents that speak
    through ``send_message`` have any: they learn from them how that is done."""
    names = base_tools(agent.agent_type, enable_sleeptime=bool(agent.enable_sleeptime))
    if "send_message" not in names:
        return []
    login = pack_login("Never (first login)", at, agent.timezone)
    user = Message(id=new_id("message", agent.id), role="user", created_at=at, content=login)
    return [*_spoken(agent, _GREETING, at, thought=_FIRST_THOUGHT), user]


def packed_messages(agent: Agent, given: Iterable[Message], at: datetime) -> list[Message]:
    """Messages that a client wants a new agent to start with, as the agent would have got them."""
    packed: list[Message] = []
    for message in given:
        text = message.text()
        if message.role == "assistant":
            packed += _spoken(agent, text, at)
            continue
        pack = pack_user_message if message.role == "user" else pack_system_alert
        content = pack(text, at, agent.timezone)
        packed.append(message.model_copy(update={"role": "user", "content": content}))
    return packed


def _spoken(agent: Agent, text: str, at: datetime, thought: str | None = None) -> list[Message]:
    call = ToolCall(
        id=f"call_{secrets.token_hex(12)}",
        name="send_message",
        arguments=json.dumps({"message": text}, ensure_ascii=False),
    )
    said = ToolReturn(
        tool_call_id=call.id, name=call.name, status="success", content="Sent message successfully."
    )
    return [
        Message(
            id=new_id("message", agent.id),
            role="assistant",
            created_at=at,
            content=thought,
            tool_calls=[call],
        ),
        Message(id=new_id("message", agent.id), role="tool", created_at=at, tool_returns=[said]),
    ]
