"""The system prompt and the history, as the model gets them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.prompt import compile_system, to_chat
from storage.records import Agent, Block, LlmConfig, Message, ToolCall, ToolReturn
from tests.strict_history import violations

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def make_agent(**fields):
    endpoint = fields.pop("endpoint", "openai")
    llm = LlmConfig(
        model="m",
        model_endpoint_type=endpoint,
        context_window=8000,
        handle=f"{endpoint}/m",
        provider_name="p",
    )
    return Agent(
        **{"id": "agent-1", "name": "A", "system": "Be kind.", "llm_config": llm} | fields,
        created_at=NOON,
        updated_at=NOON,
    )


def make_block(label="human", value="Name: Sarah", **fields):
    return Block(id=f"block-{label}", label=label, value=value, created_at=NOON, updated_at=NOON, **fields)


def message(role, content=None, **fields):
    return Message(id=f"message-{role}", role=role, content=content, created_at=NOON, **fields)


def calling(*ids, text=None, arguments="{}"):
    calls = [ToolCall(id=each, name="roll", arguments=arguments) for each in ids]
    return message("assistant", text, tool_calls=calls)


def returning(*ids, status="success", content="7"):
    returns = [ToolReturn(tool_call_id=each, name="roll", status=status, content=content) for each in ids]
    return message("tool", tool_returns=returns)


# the system prompt


def test_system_prompt_shows_memory_and_metadata():
    blocks = [
        make_block(description="The human block: who they are."),
        make_block("rules", "-", read_only=True),
    ]

    text = compile_system(make_agent(), blocks, recall=3, at=NOON)

    assert text == (
        "Be kind.\n\n"
        "<memory_blocks>\n"
        "The following memory blocks are currently engaged in your core memory unit:\n\n"
        "<human>\n<description>\nThe human block: who they are.\n</description>\n"
        "<metadata>\n- chars_current=11\n- chars_limit=100000\n</metadata>\n"
        "<value>\nName: Sarah\n</value>\n</human>\n\n"
        "<rules>\n<description>\n\n</description>\n"
        "<metadata>\n- read_only=true\n- chars_current=1\n- chars_limit=100000\n</metadata>\n"
        "<value>\n-\n</value>\n</rules>\n"
        "</memory_blocks>\n\n"
        "<memory_metadata>\n- AGENT_ID: agent-1\n- CONVERSATION_ID: default\n"
        "- System prompt last recompiled: 2026-11-22 12:00:00 PM UTC+0000\n"
        "- 3 previous messages between you and the user are stored in recall memory\n"
        "</memory_metadata>"
    )


def test_memory_goes_where_the_template_wants_it():
    agent = make_agent(system="Before. {CORE_MEMORY} After.")

    text = compile_system(agent, [make_block(value="{CORE_MEMORY}")], recall=0, at=NOON)

    assert text.startswith("Before. <memory_blocks>")
    assert text.endswith("</memory_metadata> After.")
    assert "<value>\n{CORE_MEMORY}\n</value>" in text


def test_line_numbers_for_models_that_take_well_to_them():
    block = make_block(value="one\ntwo")

    numbered = compile_system(make_agent(endpoint="anthropic"), [block], recall=0, at=NOON)
    plain = compile_system(
        make_agent(endpoint="anthropic", agent_type="memgpt_agent"), [block], recall=0, at=NOON
    )

    assert "</warning>\n<value>\n1→ one\n2→ two\n</value>" in numbered
    assert "- chars_current=7\n" in numbered
    assert "<value>\none\ntwo\n</value>" in plain
    assert "<warning>" not in plain


@pytest.mark.parametrize("agent_type", ["workflow_agent", "react_agent"])
def test_no_memory_for_types_without_it(agent_type):
    text = compile_system(make_agent(agent_type=agent_type), [make_block()], recall=0, at=NOON)

    assert "<memory_blocks>" not in text
    assert "- AGENT_ID: agent-1" in text


def test_tool_rules_and_archive_are_told():
    agent = make_agent(tool_rules=[{"type": "run_first", "tool_name": "look"}], timezone="America/New_York")

    text = compile_system(
        agent, [], recall=0, archival=4, archive_tags=["a", "b"], at=NOON, conversation_id="conv-1"
    )

    assert "- look is the first tool you call.\n</tool_usage_rules>\n\n<memory_metadata>" in text
    assert "- CONVERSATION_ID: conv-1\n" in text
    assert "recompiled: 2026-11-22 07:00:00 AM EST-0500\n" in text
    assert "- 4 total memories you created are stored in archival memory" in text
    assert "- Available archival memory tags: a, b\n" in text


def test_an_unknown_time_zone_leaves_the_agent_usable():
    text = compile_system(make_agent(timezone="Mars/Olympus"), [], recall=0, at=NOON)

    assert "12:00:00 PM UTC+0000" in text


# the history


def test_a_turn_with_tools():
    chat = to_chat(
        [
            message("system", "S"),
            message("user", "roll twice"),
            calling("a", "b", text="rolling", arguments='{"sides": 6}'),
            returning("b", content="2"),
            returning("a", status="error", content="no dice"),
            message("assistant", "a 2"),
            message("user", "thanks"),
        ],
        make_agent(),
    )

    assert [each["role"] for each in chat] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert chat[0] == {"role": "system", "content": "S"}
    assert chat[2]["content"] == "rolling"
    assert chat[2]["tool_calls"][0] == {
        "id": "a",
        "type": "function",
        "function": {"name": "roll", "arguments": '{"sides": 6}'},
    }
    assert chat[3]["tool_call_id"] == "a"
    time = "2026-11-22 12:00:00 PM UTC+0000"
    assert json.loads(chat[3]["content"]) == {"status": "Failed", "message": "no dice", "time": time}
    assert json.loads(chat[4]["content"]) == {"status": "OK", "message": "2", "time": time}


def test_the_system_prompt_can_be_given_apart():
    chat = to_chat([message("system", "news"), message("user", "hi")], make_agent(), system="S")

    assert chat[0] == {"role": "system", "content": "S"}
    alert, said = chat[1]["content"].split("\n\n")
    assert json.loads(alert)["type"] == "system_alert"
    assert json.loads(alert)["message"] == "news"
    assert said == "hi"
    assert len(chat) == 2


def test_images_are_sent_as_urls():
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png", "detail": "low"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}},
        {"type": "image", "source": {"type": "letta", "file_id": "file-1"}},
    ]

    chat = to_chat([message("user", parts), message("user", "tell me")], make_agent())

    assert chat == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AAAA"}},
                {"type": "text", "text": "[an image that is no longer available]"},
                {"type": "text", "text": "tell me"},
            ],
        }
    ]


def test_rows_without_words_are_left_out():
    history = [message("user", "hi"), message("system", " "), message("user", []), message("assistant", "")]

    assert to_chat(history, make_agent(), system=" ") == [{"role": "user", "content": "hi"}]


def test_an_interrupted_call_gets_a_return():
    chat = to_chat([message("user", "go"), calling("a"), message("user", "still there?")], make_agent())

    assert [each["role"] for each in chat] == ["user", "assistant", "tool", "user"]
    assert json.loads(chat[2]["content"])["status"] == "Failed"


def test_a_return_belongs_to_the_latest_call_of_its_id():
    history = [
        message("user", "go"),
        calling("call_0"),
        message("user", "again"),
        calling("call_0"),
        returning("call_0", content="second"),
    ]

    chat = to_chat(history, make_agent())

    returns = {each["tool_call_id"]: json.loads(each["content"]) for each in chat if each["role"] == "tool"}
    assert returns["call_0"]["status"] == "Failed"
    assert returns["call_0_2"]["message"] == "second"


def test_what_a_careless_model_wrote_is_made_presentable():
    call = ToolCall(id="x" * 80, name="bad name!", arguments="{oops")
    history = [message("user", "go"), message("assistant", tool_calls=[call]), message("user", "  ")]

    function = to_chat(history, make_agent())[1]["tool_calls"][0]

    assert function["function"] == {"name": "bad_name_", "arguments": "{}"}
    assert function["id"] == "x" * 40


@pytest.mark.parametrize("history", [[], [message("system", "S")], [message("system", "S"), returning("a")]])
def test_a_history_without_input_still_begins_with_the_user(history):
    assert [each["role"] for each in to_chat(history, make_agent()) if each["role"] != "system"] == ["user"]


_IDS = st.sampled_from(["a", "b", "", "same id", "x" * 60, "x" * 59])
_TEXTS = st.sampled_from([None, "", "  \n", "words", "more words"])
_ARGUMENTS = st.sampled_from(["{}", '{"a": 1}', "", "[]", "{", "null", '{"a": NaN}', "[" * 5000])
_NAMES = st.sampled_from(["roll", "", "functions.roll:0", "n" * 90, "wörter"])
_PARTS = st.sampled_from(
    [
        {"type": "text", "text": "words"},
        {"type": "text", "text": " "},
        {"type": "text", "text": None},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image", "source": {"type": "letta", "file_id": "f"}},
        {"type": "tool_return", "tool_call_id": "a"},
    ]
)
_CALLS = st.lists(st.builds(ToolCall, id=_IDS, name=_NAMES, arguments=_ARGUMENTS), max_size=3)
_RETURNS = st.lists(
    st.builds(
        ToolReturn,
        tool_call_id=_IDS,
        name=_NAMES,
        status=st.sampled_from(["success", "error"]),
        content=st.sampled_from(["", "7"]),
    ),
    max_size=3,
)
_MESSAGES = st.one_of(
    st.builds(message, st.sampled_from(["user", "system", "summary"]), _TEXTS | st.lists(_PARTS, max_size=3)),
    st.builds(message, st.just("assistant"), _TEXTS, tool_calls=_CALLS),
    st.builds(message, st.just("tool"), tool_returns=_RETURNS),
)


@given(history=st.lists(_MESSAGES, max_size=12), system=st.sampled_from([None, "", "S"]))
def test_whatever_is_stored_a_strict_provider_takes_it(history, system):
    assert violations(to_chat(history, make_agent(), system=system)) == []


@given(history=st.lists(_MESSAGES, max_size=12))
def test_nothing_that_was_said_is_lost(history):
    chat = to_chat(history, make_agent(), system="S")

    sent = json.dumps(chat)
    said = sum(each.text().count("words") for each in history)
    calls = sum(len(each.tool_calls) for each in history)
    assert sent.count("words") == said
    assert sum(len(each.get("tool_calls", [])) for each in chat) == calls
