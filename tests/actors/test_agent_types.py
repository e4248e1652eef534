"""What agents of each type are created with."""

import json
from datetime import UTC, datetime
from typing import get_args

import pytest

from actors import agent_types
from actors.prompt import to_chat
from actors.tools.builtin import BUILTIN
from actors.tools.rules import ToolRules
from storage.records import Agent, AgentType, LlmConfig, Message
from tests.strict_history import violations

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEGACY = ["send_message", "conversation_search", "core_memory_append", "core_memory_replace"]
LEGACY += ["memory", "memory_apply_patch"]
CHAT = ["send_message", "conversation_search", "archival_memory_search"]


def make_agent(**fields):
    llm = LlmConfig(
        model="m", model_endpoint_type="openai", context_window=8000, handle="p/m", provider_name="p"
    )
    return Agent(
        id="agent-abc", name="A", system="S", llm_config=llm, created_at=NOON, updated_at=NOON, **fields
    )


@pytest.mark.parametrize(
    ("agent_type", "sleeptime", "tools"),
    [
        ("letta_v1_agent", False, ["conversation_search", "memory_insert", "memory_replace"]),
        ("letta_v1_agent", True, CHAT),
        (
            "memgpt_v2_agent",
            False,
            ["send_message", "conversation_search", "memory_replace", "memory_insert"],
        ),
        ("memgpt_v2_agent", True, CHAT),
        ("memgpt_agent", False, LEGACY),
        ("memgpt_agent", True, CHAT),
        ("split_thread_agent", False, LEGACY),
        (
            "sleeptime_agent",
            True,
            ["memory_replace", "memory_insert", "memory_rethink", "memory_finish_edits"],
        ),
        ("voice_convo_agent", True, ["send_message", "search_memory"]),
        (
            "voice_sleeptime_agent",
            True,
            ["store_memories", "rethink_user_memory", "finish_rethinking_memory"],
        ),
        ("react_agent", False, []),
        ("workflow_agent", False, []),
    ],
)
def test_base_tools(agent_type, sleeptime, tools):
    names = agent_types.base_tools(agent_type, enable_sleeptime=sleeptime)

    assert list(names) == tools
    assert BUILTIN.keys() >= set(names)


@pytest.mark.parametrize("agent_type", get_args(AgentType))
def test_every_type_has_a_prompt_that_fits_its_loop(agent_type):
    kind = agent_types.get(agent_type)

    assert kind.system.startswith("<base_instructions>")
    assert ("memory blocks" in kind.system) is kind.renders_memory
    assert agent_types.uses_heartbeats(agent_type) is (
        agent_type not in ("letta_v1_agent", "sleeptime_agent")
    )
    speaks = "send_message" in kind.base_tools
    assert ("send_message" in kind.system) is speaks
    assert ("request_heartbeat" in kind.system) is speaks


# rules


def rules_of(agent_type, tools, given=None, model="m", **options):
    found = agent_types.tool_rules(
        agent_type, [BUILTIN[name] for name in tools], given, model=model, **options
    )
    return {rule["tool_name"]: rule["type"] for rule in found}


BASE = {"send_message": "exit_loop", "conversation_search": "continue_loop", "memory": "continue_loop"}
GIVEN = [{"type": "run_first", "tool_name": "look"}]


def test_base_rules_say_what_ends_a_run():
    tools = ["send_message", "conversation_search", "memory", "memory_finish_edits", "web_search"]
    tools.append("send_message_to_agent_async")

    assert rules_of("memgpt_agent", tools) == {
        **BASE,
        "memory_finish_edits": "exit_loop",
        "send_message_to_agent_async": "exit_loop",
    }


@pytest.mark.parametrize(
    ("agent_type", "options", "wanted"),
    [
        ("memgpt_agent", {}, True),
        ("memgpt_agent", {"include_base": False}, False),
        ("memgpt_agent", {"model": "gpt-5"}, False),
        ("memgpt_agent", {"model": "gpt-5", "include_base": True}, True),
        ("memgpt_agent", {"model": "gpt-5-mini"}, True),
        ("sleeptime_agent", {"model": "gpt-5"}, True),
        ("letta_v1_agent", {}, False),
        ("letta_v1_agent", {"include_base": True}, True),
        ("letta_v1_agent", {"given": GIVEN}, True),
        ("letta_v1_agent", {"enable_sleeptime": True}, True),
    ],
)
def test_when_base_rules_are_added(agent_type, options, wanted):
    found = rules_of(agent_type, ["send_message", "conversation_search", "memory"], **options)

    assert {name: found[name] for name in found if name != "look"} == (BASE if wanted else {})
    assert ("look" in found) is ("given" in options)


def test_tools_that_need_approval_get_a_rule_in_any_case():
    risky = BUILTIN["run_code"].model_copy(update={"default_requires_approval": True})
    rule = {"type": "requires_approval", "tool_name": "run_code"}

    for given in (None, [rule]):
        found = agent_types.tool_rules("letta_v1_agent", [risky], given, model="m", include_base=False)

        assert found == [rule]


@pytest.mark.parametrize("agent_type", get_args(AgentType))
def test_rules_are_valid(agent_type):
    tools = [BUILTIN[name] for name in agent_types.base_tools(agent_type)]

    rules = ToolRules(agent_types.tool_rules(agent_type, tools, None, model="m", include_base=True))

    assert all(rules.ends(tool.name) or rules.continues(tool.name) or "voice" in agent_type for tool in tools)


# first messages


@pytest.mark.parametrize("agent_type", ["letta_v1_agent", "sleeptime_agent", "workflow_agent", "react_agent"])
def test_most_agents_start_with_an_empty_history(agent_type):
    assert agent_types.boot_messages(make_agent(agent_type=agent_type), NOON) == []


@pytest.mark.parametrize(
    "fields", [{"agent_type": "memgpt_agent"}, {"agent_type": "memgpt_v2_agent"}, {"enable_sleeptime": True}]
)
def test_agents_that_speak_by_tool_are_shown_how(fields):
    agent = make_agent(timezone="Europe/Oslo", **fields)

    thought, returned, login = messages = agent_types.boot_messages(agent, NOON)

    assert [each.role for each in messages] == ["assistant", "tool", "user"]
    (call,) = thought.tool_calls
    assert call.name == "send_message"
    assert json.loads(call.arguments).keys() == {"message"}
    assert returned.tool_returns[0].tool_call_id == call.id
    event = json.loads(login.content)
    assert (event["type"], event["time"]) == ("login", "2026-11-22 01:00:00 PM CET+0100")
    assert "last_login" in event
    assert violations(to_chat(messages, agent, system="S")) == []


def test_given_messages_are_packed():
    given = [
        Message(id="message-1", role="assistant", content="Hello!", created_at=NOON),
        Message(id="message-2", role="user", content="Hi.", created_at=NOON, otid="o"),
        Message(id="message-3", role="system", content="Be brief.", created_at=NOON),
    ]

    said, returned, user, alert = agent_types.packed_messages(make_agent(), given, NOON)

    assert json.loads(said.tool_calls[0].arguments) == {"message": "Hello!"}
    assert returned.tool_returns[0].status == "success"
    time = "2026-11-22 12:00:00 PM UTC+0000"
    assert (user.role, user.otid) == ("user", "o")
    assert json.loads(user.content) == {"type": "user_message", "message": "Hi.", "time": time}
    assert alert.role == "user"
    assert json.loads(alert.content) == {"type": "system_alert", "message": "Be brief.", "time": time}
