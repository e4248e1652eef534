"""Tool calls: from the model's arguments to what the model reads."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from actors.tools import Memory, ToolContext, execute
from actors.tools.builtin import BUILTIN
from storage.errors import Unavailable
from storage.queries import Hit
from storage.records import Agent, Block, LlmConfig, Message, ToolCall

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class History:
    """Stands for the store: notes what is asked and answers with its messages, ranked in their order."""

    def __init__(self, *messages):
        self.messages = list(messages)
        self.query = None

    async def __call__(self, query):
        self.query = query
        ranked = bool(query.query)
        return [
            Hit(message, "agent-1", message.role, 0.5, rank if ranked else 0)
            for rank, message in enumerate(self.messages, 1)
        ]


def make_context(history=None, timezone="UTC", archival=None, **tools):
    llm = LlmConfig(
        model="m", model_endpoint_type="openai", context_window=8000, handle="p/m", provider_name="p"
    )
    agent = Agent(
        id="agent-1",
        name="A",
        system="S",
        llm_config=llm,
        timezone=timezone,
        created_at=NOON,
        updated_at=NOON,
    )
    block = Block(id="block-1", label="human", value="Name: Sarah", created_at=NOON, updated_at=NOON)
    return ToolContext(
        agent=agent,
        memory=Memory([block]),
        archival=archival,
        search=history or History(),
        tools=BUILTIN | tools,
        at=NOON,
    )


async def call(context, name, arguments):
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return await execute(ToolCall(id="call-1", name=name, arguments=text), context)


async def test_a_memory_tool_edits_the_memory_and_returns_the_value():
    context = make_context()

    returned = await call(context, "core_memory_append", {"label": "human", "content": "Age: 30"})

    assert (returned.tool_call_id, returned.name, returned.status) == (
        "call-1",
        "core_memory_append",
        "success",
    )
    assert returned.content == context.memory["human"].value == "Name: Sarah\nAge: 30"


async def test_nothing_returned_is_none():
    assert (await call(make_context(), "memory_finish_edits", "")).content == "None"


async def test_send_message():
    returned = await call(make_context(), "send_message", {"message": "hi"})

    assert returned.content == "Sent message successfully."


async def test_what_is_meant_for_the_loop_does_not_reach_the_tool():
    arguments = {"message": "hi", "request_heartbeat": True, "thinking": "hm"}

    assert (await call(make_context(), "send_message", arguments)).status == "success"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("{", "Error executing function memory_rethink: ValueError: the arguments are not valid JSON"),
        ("[" * 100_000, "the arguments are not valid JSON"),
        ("[]", "the arguments must be a JSON object"),
        ({"label": "human"}, "required parameter `new_memory` is missing"),
        ({"label": 1, "new_memory": "x"}, "`label` must be a string, not an integer"),
        ({"label": "pet", "new_memory": "x"}, "ValueError: Memory block 'pet' does not exist"),
    ],
)
async def test_a_bad_call_is_told_what_is_wrong(arguments, error):
    context = make_context()

    returned = await call(context, "memory_rethink", arguments)

    assert returned.status == "error"
    assert returned.content.startswith("Error executing function memory_rethink: ValueError: ")
    assert error in returned.content
    assert context.memory.writes() == []


async def test_an_error_is_cut_to_a_thousand_characters():
    arguments = {"label": "human", "old_string": "x" * 5000, "new_string": ""}

    assert len((await call(make_context(), "memory_replace", arguments)).content) == 1000


async def test_an_unknown_tool_is_answered_with_the_known_ones():
    returned = await call(make_context(), "fly", {})

    assert returned.status == "error"
    assert "no tool named fly" in returned.content
    assert "send_message" in returned.content


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("web_search", {"query": "x"}), ("fetch_webpage", {"url": "https://x"})],
)
async def test_a_tool_that_this_version_does_not_run_says_so(name, arguments):
    returned = await call(make_context(), name, arguments)

    assert returned.status == "error"
    assert f"does not run the tool {name}" in returned.content


async def test_somebody_elses_tool_of_the_same_name_is_not_ours():
    stranger = BUILTIN["send_message"].model_copy(update={"id": "tool-x", "tool_type": "custom"})

    returned = await call(make_context(send_message=stranger), "send_message", {"message": "hi"})

    assert "does not run the tool send_message" in returned.content


async def test_a_long_return_is_cut():
    short = BUILTIN["core_memory_append"].model_copy(update={"return_char_limit": 5})
    context = make_context(core_memory_append=short)

    returned = await call(context, "core_memory_append", {"label": "human", "content": "!"})

    assert returned.content == (
        "Name:... [NOTE: function output was truncated since it exceeded the character limit: 13 > 5]"
    )
    assert context.memory["human"].value == "Name: Sarah\n!"


# conversation_search


def said(role, content=None, ago=timedelta(minutes=5), **fields):
    return Message(id="message-1", role=role, content=content, created_at=NOON - ago, **fields)


async def search(history, timezone="UTC", **arguments):
    returned = await call(make_context(history, timezone), "conversation_search", arguments)
    assert returned.status == "success", returned.content
    return json.loads(returned.content)


async def test_search_shows_the_best_first():
    history = History(
        said("assistant", "Yes.", timedelta(hours=2), reasoning="They ask"),
        said("user", "Blåbær?", timedelta(days=3, hours=1)),
    )

    found = await search(history, "America/New_York", query="blue  Berries", limit=2)

    def relevance(rank):
        score = round(1 / (60 + rank), 6)
        return {"rrf_score": score, "vector_rank": None, "fts_rank": rank, "search_mode": "fts"}

    assert found == {
        "message": "Showing 2 results:",
        "results": [
            {
                "timestamp": "2026-11-22T05:00:00-05:00",
                "time_ago": "2h ago",
                "role": "assistant",
                "relevance": relevance(1),
                "thinking": "They ask",
                "content": "Yes.",
            },
            {
                "timestamp": "2026-11-19T06:00:00-05:00",
                "time_ago": "3d ago",
                "role": "user",
                "relevance": relevance(2),
                "content": "Blåbær?",
            },
        ],
    }
    query = history.query
    assert (query.agent_id, query.query, query.limit) == ("agent-1", "blue  Berries", 2)
    assert query.roles == ["user", "assistant"]
    assert query.start is query.end is None


async def test_without_a_query_nothing_is_ranked():
    found = await search(History(said("user", "x")))

    assert "relevance" not in found["results"][0]


async def test_search_finds_what_was_said_through_send_message():
    sent = ToolCall(id="a", name="send_message", arguments='{"message": "Hello!"}')
    broken = ToolCall(id="b", name="send_message", arguments="{")

    found = await search(History(said("assistant", "thought", tool_calls=[sent, broken])))

    assert found["results"][0]["content"] == "thought\nHello!"


@pytest.mark.parametrize(
    ("ago", "words"),
    [(timedelta(seconds=-3), "0s ago"), (timedelta(seconds=59), "59s ago"), (timedelta(minutes=5), "5m ago")],
)
async def test_time_ago(ago, words):
    found = await search(History(said("user", "x", ago)))

    assert found["results"][0]["time_ago"] == words


async def test_search_limits_roles_and_never_finds_tool_returns():
    history = History(said("user", "x"))

    await search(history, roles=["user", "tool"])
    assert history.query.roles == ["user"]

    history.query = None
    assert await search(history, roles=["tool"]) == {"message": "No results found.", "results": []}
    assert history.query is None


async def test_search_dates_are_in_the_agents_time_zone():
    history = History()

    found = await search(history, "America/New_York", start_date="2026-11-01T08:30", end_date="2026-11-20")

    assert found["message"] == "No results found."
    assert history.query.start == datetime(2026, 11, 1, 13, 30, tzinfo=UTC)
    assert history.query.end == datetime(2026, 11, 21, 4, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("start_date", "yesterday"),
        ("start_date", "0001-01-01"),
        ("end_date", "2026-13-01"),
        ("end_date", "9999-12-31"),
    ],
)
async def test_a_bad_date_is_refused(parameter, text):
    context = make_context(timezone="Asia/Tokyo" if parameter == "start_date" else "America/New_York")

    returned = await call(context, "conversation_search", {parameter: text})

    assert returned.content.endswith(
        f"Invalid {parameter} format: {text}. Use ISO 8601 format (YYYY-MM-DD or YYYY-MM-DDTHH:MM)"
    )


async def test_a_limit_below_one_is_refused():
    assert "at least 1" in (await call(make_context(), "conversation_search", {"limit": 0})).content


async def test_a_store_that_is_away_is_told_to_the_model():
    async def away(query):
        raise Unavailable("the shard restarts")

    returned = await call(make_context(away), "conversation_search", {"query": "x"})

    assert returned.status == "error"
    assert returned.content == "Error executing function conversation_search: Unavailable: the shard restarts"
