"""Agents through the official client and by plain HTTP."""

import re

import pytest
from letta_client import BadRequestError, ConflictError, InternalServerError, NotFoundError

UNKNOWN = "agent-00000000-0000-4000-8000-000000000000"
EVERYTHING = ["agent.blocks", "agent.tools", "agent.tags", "agent.secrets", "agent.sources"]


def ids(page):
    return [item.id for item in page]


def test_a_new_agent_has_the_documented_defaults(agent):
    assert re.fullmatch(r"[A-Z][a-z]+[A-Z][a-z]+", agent.name)
    assert agent.agent_type == "letta_v1_agent"
    assert {tool.name for tool in agent.tools} == {"conversation_search", "memory_insert", "memory_replace"}
    assert len(agent.message_ids) == 1
    assert agent.tool_rules == []
    assert agent.model == "greenroom/scripted"
    assert agent.embedding is None
    assert agent.embedding_config is None
    assert (agent.max_files_open, agent.per_file_view_window_char_limit) == (10, 25000)
    assert agent.timezone == "UTC"
    assert agent.message_buffer_autoclear is False
    assert agent.last_stop_reason is None
    assert agent.compaction_settings.mode == "sliding_window"
    assert [block.label for block in agent.blocks] == ["human", "persona"]
    assert agent.memory.blocks == agent.blocks
    assert agent.blocks[0].limit == 100_000
    assert agent.blocks[0].description


def test_the_files_an_agent_sees_fit_its_window(make_agent):
    agent = make_agent(context_window_limit=16000)

    assert agent.llm_config.context_window == 16000
    assert (agent.max_files_open, agent.per_file_view_window_char_limit) == (5, 15000)


def test_relationships_are_empty_unless_included(client, make_agent):
    created = make_agent(tags=["a"], secrets={"KEY": "value"})

    bare = client.agents.retrieve(created.id)
    full = client.agents.retrieve(created.id, include=EVERYTHING)

    assert (bare.blocks, bare.tools, bare.tags, bare.secrets, bare.memory.blocks) == ([], [], [], [], [])
    assert full == created
    assert full.secrets[0].value == "value"
    assert full.tool_exec_environment_variables == full.secrets


def test_settings_of_a_model_are_those_of_its_provider(client, make_agent):
    expected = {
        "max_output_tokens": 16384,
        "parallel_tool_calls": True,
        "strict": False,
        "provider_type": "openai",
        "temperature": 1.0,
        "reasoning": {"reasoning_effort": "minimal"},
        "response_format": None,
    }

    created = make_agent(model="openai/gpt-4o-mini")
    renamed = client.agents.update(created.id, name="another name")

    for agent in (created, renamed):
        assert agent.model_dump(by_alias=True)["model_settings"] == expected
    assert renamed.name == "another name"


def test_model_settings_replace_and_persist(client, make_agent):
    settings = {"provider_type": "openai", "temperature": 0.3, "max_output_tokens": 100}
    agent = make_agent(model_settings={**settings, "parallel_tool_calls": False})
    assert agent.llm_config.temperature == 0.3
    assert agent.llm_config.max_tokens == 100
    assert agent.llm_config.parallel_tool_calls is False

    client.agents.update(agent.id, model_settings={"provider_type": "openai", "temperature": 0.9})

    agent = client.agents.retrieve(agent.id)
    assert agent.llm_config.temperature == 0.9
    assert agent.llm_config.max_tokens == 100
    assert agent.llm_config.parallel_tool_calls is True


def test_null_lifts_the_limit_of_answers(client, http, make_agent):
    agent = make_agent(max_tokens=100)

    http.patch(f"/v1/agents/{agent.id}", json={"name": "x", "max_tokens": None})

    assert client.agents.retrieve(agent.id).llm_config.max_tokens is None


def test_an_older_llm_config_chooses_a_model(http, client):
    config = {"model": "scripted", "provider_name": "greenroom", "model_endpoint_type": "openai"}
    config |= {"context_window": 9000, "model_endpoint": "http://evil.example"}

    created = http.post("/v1/agents", json={"llm_config": config}).json()

    assert created["llm_config"]["context_window"] == 9000
    assert created["llm_config"]["model_endpoint"] is None
    client.agents.delete(created["id"])


def test_an_embedding_model_can_be_chosen(make_agent):
    agent = make_agent(embedding="greenroom/scripted")

    assert agent.embedding == "greenroom/scripted"
    assert agent.embedding_config.embedding_chunk_size == 300


def test_without_a_model_the_error_names_those_that_work(client):
    with pytest.raises(BadRequestError, match="model or llm_config") as caught:
        client.agents.create()

    assert "greenroom/scripted" in str(caught.value)


def test_unknown_handles_are_refused(client):
    with pytest.raises(NotFoundError, match="must be one of") as caught:
        client.agents.create(model="anthropic/claude")
    assert "ANTHROPIC_API_KEY" in str(caught.value)

    with pytest.raises(BadRequestError):
        client.agents.create(model="no-slash")
    with pytest.raises(BadRequestError, match="not found"):
        client.agents.create(model="greenroom/scripted", embedding="nobody/nothing")


def test_tools_are_attached_by_name_and_id(client, make_agent):
    run_code = client.tools.list(name="run_code").items[0]

    agent = make_agent(include_base_tools=False, tools=["web_search"], tool_ids=[run_code.id])

    assert [tool.name for tool in agent.tools] == ["web_search", "run_code"]


def test_unknown_tools_and_blocks_are_refused(client):
    for wrong in (
        {"tools": ["no_such_tool"]},
        {"tool_ids": ["tool-00000000-0000-4000-8000-000000000000"]},
        {"block_ids": ["block-00000000-0000-4000-8000-000000000000"]},
    ):
        with pytest.raises(NotFoundError):
            client.agents.create(model="greenroom/scripted", **wrong)


def test_labels_of_an_agents_blocks_are_unique(client):
    block = client.blocks.create(label="human", value="x")

    with pytest.raises(ConflictError):
        client.agents.create(
            model="greenroom/scripted", memory_blocks=[{"label": "human", "value": "y"}], block_ids=[block.id]
        )


def test_existing_blocks_are_shared(client, make_agent):
    block = client.blocks.create(label="plan", value="Build.")

    first, second = (make_agent(memory_blocks=[], block_ids=[block.id]) for _ in range(2))
    client.blocks.update(block.id, value="Rest.")

    for agent in (first, second):
        assert client.agents.blocks.retrieve("plan", agent_id=agent.id).value == "Rest."


def test_a_full_block_makes_a_new_one(client, make_agent):
    block = client.blocks.create(label="human", value="x")

    agent = make_agent(memory_blocks=[block.model_dump(mode="json")])

    assert agent.blocks[0].value == "x"
    assert agent.blocks[0].id != block.id


@pytest.mark.parametrize(
    ("agent_type", "tools", "roles"),
    [
        (
            "memgpt_v2_agent",
            {"send_message", "conversation_search", "memory_replace", "memory_insert"},
            ["system_message", "reasoning_message", "assistant_message", "user_message"],
        ),
        (
            "memgpt_agent",
            {
                "send_message",
                "conversation_search",
                "core_memory_append",
                "core_memory_replace",
                "memory",
                "memory_apply_patch",
            },
            ["system_message", "reasoning_message", "assistant_message", "user_message"],
        ),
        (
            "sleeptime_agent",
            {"memory_replace", "memory_insert", "memory_rethink", "memory_finish_edits"},
            ["system_message"],
        ),
        ("react_agent", set(), ["system_message"]),
    ],
)
def test_agent_types_differ_in_tools_and_first_messages(client, make_agent, agent_type, tools, roles):
    agent = make_agent(agent_type=agent_type)

    assert {tool.name for tool in agent.tools} == tools
    assert [message.message_type for message in client.agents.messages.list(agent.id)] == roles


def test_workflow_agents_forget_after_each_run(make_agent):
    assert make_agent(agent_type="workflow_agent").message_buffer_autoclear is True


def test_older_types_have_rules_for_their_base_tools(make_agent):
    rules = {(rule.type, rule.tool_name) for rule in make_agent(agent_type="memgpt_v2_agent").tool_rules}
    assert ("exit_loop", "send_message") in rules
    assert ("continue_loop", "conversation_search") in rules

    assert make_agent(agent_type="memgpt_v2_agent", include_base_tool_rules=False).tool_rules == []


def test_tool_rules_are_kept_without_duplicates(client, make_agent):
    rule = {"type": "max_count_per_step", "tool_name": "memory_insert", "max_count_limit": 1}

    agent = make_agent(tool_rules=[rule, rule], include_base_tool_rules=False)
    assert [rule.type for rule in agent.tool_rules] == ["max_count_per_step"]

    agent = client.agents.update(agent.id, tool_rules=[])
    assert agent.tool_rules == []


def test_a_first_conversation_can_be_given(client, make_agent):
    agent = make_agent(
        initial_message_sequence=[
            {"role": "assistant", "content": "Hello, I am new."},
            {"role": "user", "content": "Welcome!"},
        ]
    )

    listed = list(client.agents.messages.list(agent.id))

    assert [message.message_type for message in listed] == [
        "system_message",
        "assistant_message",
        "user_message",
    ]
    assert [message.content for message in listed[1:]] == ["Hello, I am new.", "Welcome!"]


def test_an_update_changes_what_it_names(client, make_agent):
    agent = make_agent(tags=["old"], secrets={"A": "1", "B": "2"}, description="old", metadata={"k": 1})
    tool = client.tools.list(name="web_search").items[0]
    block = client.blocks.create(label="plan", value="x")

    updated = client.agents.update(
        agent.id,
        name="new name",
        description="new",
        system="You are new.",
        tags=["new"],
        tool_ids=[tool.id],
        block_ids=[block.id],
        secrets={"A": "3"},
        timezone="Europe/Berlin",
        context_window_limit=20000,
        compaction_settings={"clip_chars": 7},
        message_buffer_autoclear=True,
        hidden=True,
    )

    assert client.agents.retrieve(agent.id, include=EVERYTHING) == updated
    assert (updated.name, updated.description, updated.system) == ("new name", "new", "You are new.")
    assert (updated.tags, updated.metadata, updated.timezone) == (["new"], {"k": 1}, "Europe/Berlin")
    assert [tool.name for tool in updated.tools] == ["web_search"]
    assert [block.label for block in updated.blocks] == ["plan"]
    assert {secret.key: secret.value for secret in updated.secrets} == {"A": "3"}
    assert updated.secrets[0].id == next(each.id for each in agent.secrets if each.key == "A")
    assert updated.llm_config.context_window == 20000
    assert (updated.compaction_settings.clip_chars, updated.compaction_settings.mode) == (7, "sliding_window")
    assert updated.hidden is True
    assert updated.updated_at > agent.updated_at


def test_null_changes_nothing_and_empty_lists_clear(http, make_agent):
    agent = make_agent(description="kept", tags=["gone"])

    changed = http.patch(f"/v1/agents/{agent.id}", json={"description": None, "tags": []}).json()

    assert changed["description"] == "kept"
    assert changed["tags"] == []


def test_an_update_that_breaks_a_rule_changes_nothing(client, agent):
    twin = client.blocks.create(label="human", value="x")
    own = [block.id for block in agent.blocks]

    with pytest.raises(ConflictError):
        client.agents.update(agent.id, name="changed", block_ids=[*own, twin.id])

    assert client.agents.retrieve(agent.id).name == agent.name


def test_agents_are_listed_by_what_they_are(client, make_agent):
    red = make_agent(name="Red Fox", tags=["test-list", "warm"])
    blue = make_agent(name="Blue Fox", tags=["test-list", "cold"])
    hidden = make_agent(name="Grey Fox", tags=["test-list"], hidden=True)

    def listed(**filters):
        return ids(client.agents.list(**filters))

    assert listed(tags=["test-list"]) == [blue.id, red.id]
    assert listed(tags=["test-list"], order="asc") == [red.id, blue.id]
    assert listed(tags=["test-list"], ascending=True) == [red.id, blue.id]
    assert listed(tags=["warm", "cold"]) == [blue.id, red.id]
    assert listed(tags=["test-list", "warm"], match_all_tags=True) == [red.id]
    assert listed(name="Red Fox") == [red.id]
    assert listed(query_text="fox", tags=["test-list"]) == [blue.id, red.id]
    assert listed(query_text="blue fo") == [blue.id]
    assert hidden.id not in listed(query_text="Fox")


def test_agents_are_listed_in_pages_and_orders(client, make_agent):
    agents = [make_agent(tags=["test-pages"]) for _ in range(3)]
    oldest_first = ids(agents)
    client.agents.update(agents[0].id, description="changed last")
    client.agents.messages.create(agents[1].id, messages=[{"role": "user", "content": "hi"}])

    def listed(**filters):
        return ids(client.agents.list(tags=["test-pages"], **filters).items)

    assert listed(order="asc", limit=2) == oldest_first[:2]
    assert listed(order="asc", limit=2, after=oldest_first[1]) == oldest_first[2:]
    assert listed(limit=1, after=oldest_first[2]) == [oldest_first[1]]
    assert listed(limit=1, before=oldest_first[0]) == [oldest_first[1]]
    assert ids(client.agents.list(tags=["test-pages"], limit=1)) == oldest_first[::-1]
    assert listed(order_by="last_run_completion")[0] == agents[1].id
    assert set(listed(order_by="updated_at")[:2]) == {agents[0].id, agents[1].id}


def test_agents_are_listed_by_how_their_last_run_ended(client, agent):
    client.agents.messages.create(agent.id, messages=[{"role": "user", "content": "hi"}])

    assert agent.id in ids(client.agents.list(last_stop_reason="end_turn", limit=5).items)
    assert agent.id not in ids(client.agents.list(last_stop_reason="max_steps").items)
    after = client.agents.retrieve(agent.id)
    assert after.last_stop_reason == "end_turn"
    assert after.last_run_completion is not None
    assert after.last_run_duration_ms is not None


def test_lists_include_what_is_asked_for(client, make_agent):
    agent = make_agent(tags=["test-include"])

    [bare] = client.agents.list(tags=["test-include"]).items
    [full] = client.agents.list(tags=["test-include"], include=["agent.blocks", "agent.tools"]).items
    [legacy] = client.agents.list(tags=["test-include"], include_relationships=["memory", "tags"]).items

    assert (bare.blocks, bare.tools) == ([], [])
    assert (ids(full.blocks), ids(full.tools), full.tags) == (ids(agent.blocks), ids(agent.tools), [])
    assert (ids(legacy.blocks), legacy.tools, legacy.tags) == (ids(agent.blocks), [], ["test-include"])


def test_agents_are_counted(http, make_agent):
    before = http.get("/v1/agents/count").json()
    make_agent()

    assert http.get("/v1/agents/count").json() == before + 1


def test_a_deleted_agent_is_gone(client, http, agent):
    client.agents.messages.create(agent.id, messages=[{"role": "user", "content": "hi"}])

    assert http.delete(f"/v1/agents/{agent.id}").json().keys() == {"message"}

    for gone in (
        lambda: client.agents.retrieve(agent.id),
        lambda: client.agents.update(agent.id, name="x"),
        lambda: client.agents.messages.create(agent.id, messages=[{"role": "user", "content": "hi"}]),
        lambda: client.agents.messages.list(agent.id),
        lambda: client.agents.delete(agent.id),
    ):
        with pytest.raises(NotFoundError):
            gone()


@pytest.mark.parametrize(
    "call",
    [
        lambda http, agent: http.get(f"/v1/agents/{agent}"),
        lambda http, agent: http.patch(f"/v1/agents/{agent}", json={"name": "x"}),
        lambda http, agent: http.delete(f"/v1/agents/{agent}"),
        lambda http, agent: http.post(f"/v1/agents/{agent}/messages", json={"input": "hi"}),
        lambda http, agent: http.post(f"/v1/agents/{agent}/messages/stream", json={"input": "hi"}),
        lambda http, agent: http.post(f"/v1/agents/{agent}/messages/cancel", json={}),
        lambda http, agent: http.patch(f"/v1/agents/{agent}/reset-messages", json={}),
        lambda http, agent: http.get(f"/v1/agents/{agent}/messages"),
        lambda http, agent: http.get(f"/v1/agents/{agent}/tools"),
        lambda http, agent: http.get(f"/v1/agents/{agent}/core-memory"),
        lambda http, agent: http.get(f"/v1/agents/{agent}/core-memory/blocks"),
        lambda http, agent: http.get(f"/v1/agents/{agent}/core-memory/blocks/human"),
    ],
)
def test_unknown_agents_are_404_and_malformed_ids_422(http, call):
    assert call(http, UNKNOWN).status_code == 404
    malformed = call(http, "agent-1")
    assert malformed.status_code == 422
    assert "String should match pattern" in malformed.json()["detail"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no/slashes"},
        {"name": 7},
        {"tags": "not a list"},
        {"tags": [""]},
        {"tags": ["x"] * 1001},
        {"context_window_limit": 0},
        {"context_window_limit": 10**12},
        {"timezone": "Mars/Olympus"},
        {"agent_type": "made_up"},
        {"max_files_open": 1001},
        {"tool_rules": [{"type": "made_up", "tool_name": "x"}]},
        {"memory_blocks": [{"label": "human"}]},
        {"memory_blocks": [{"label": "", "value": "x"}]},
        {"memory_blocks": [{"label": "human", "value": "x", "limit": -1}]},
        {"tool_ids": ["web_search"]},
        {"model_settings": {"temperature": 99}},
        {"secrets": {"KEY": 7}},
        {"system": "x" * 1_000_001},
        {"name": "nul\0"},
    ],
)
def test_malformed_agents_are_refused(http, wrong):
    before = http.get("/v1/agents/count").json()

    response = http.post("/v1/agents", json={"model": "greenroom/scripted", **wrong})

    assert response.status_code == 422, response.text
    assert isinstance(response.json()["detail"], str)
    assert http.get("/v1/agents/count").json() == before


def test_nul_characters_are_taken_out_of_texts(make_agent):
    agent = make_agent(memory_blocks=[{"label": "human", "value": "a\0b"}], system="c\0d")

    assert agent.blocks[0].value == "ab"
    assert agent.system == "cd"


def test_max_reasoning_tokens_must_leave_room_for_an_answer(client):
    with pytest.raises(BadRequestError, match="max_reasoning_tokens"):
        client.agents.create(model="greenroom/scripted", max_tokens=100, max_reasoning_tokens=100)


@pytest.mark.parametrize(
    "wish",
    [
        {"folder_ids": ["source-00000000-0000-4000-8000-000000000000"]},
        {"identity_ids": ["identity-00000000-0000-4000-8000-000000000000"]},
    ],
)
def test_what_the_server_does_not_do_is_said(client, wish):
    with pytest.raises(InternalServerError) as caught:
        client.agents.create(model="greenroom/scripted", **wish)

    assert caught.value.status_code == 501
    assert next(iter(wish)) in str(caught.value)


def test_a_summarising_model_can_be_chosen(client, make_agent):
    agent = make_agent(compaction_settings={"model": "openai/scripted"})
    assert agent.compaction_settings.model == "openai/scripted"
    assert agent.compaction_settings.prompt

    with pytest.raises(NotFoundError, match="must be one of"):
        client.agents.update(agent.id, compaction_settings={"model": "nobody/nothing"})
