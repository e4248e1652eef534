"""Tools, and which of them agents have."""

import pytest
from letta_client import BadRequestError, NotFoundError

UNKNOWN = "tool-00000000-0000-4000-8000-000000000000"
BASE_TOOLS = """
send_message conversation_search archival_memory_insert archival_memory_search core_memory_append
core_memory_replace memory memory_apply_patch send_message_to_agent_and_wait_for_reply
send_message_to_agents_matching_tags send_message_to_agent_async memory_replace memory_insert memory_rethink
memory_finish_edits store_memories rethink_user_memory finish_rethinking_memory search_memory run_code
run_code_with_tools web_search fetch_webpage open_files grep_files semantic_search_files
"""


def names(page):
    return [tool.name for tool in page]


def test_every_base_tool_is_there(client, http):
    tools = list(client.tools.list())

    assert sorted(names(tools)) == sorted(BASE_TOOLS.split())
    assert http.get("/v1/tools/count").json() == len(tools)
    for tool in tools:
        assert tool.tags == [tool.tool_type]
        assert (tool.source_type, tool.source_code) == ("python", None)
        assert tool.json_schema["name"] == tool.name
        assert client.tools.retrieve(tool.id).json_schema == tool.json_schema


def test_tools_are_listed_by_what_they_are(client):
    found = {tool.name: tool for tool in client.tools.list()}

    def listed(**filters):
        return set(names(client.tools.list(**filters)))

    assert listed(name="memory") == {"memory"}
    assert listed(names=["memory", "run_code", "nothing"]) == {"memory", "run_code"}
    assert listed(tool_ids=[found["run_code"].id]) == {"run_code"}
    assert listed(search="RUN_CODE") == {"run_code", "run_code_with_tools"}
    assert listed(tool_types=["letta_files_core"]) == {"open_files", "grep_files", "semantic_search_files"}
    without = ["letta_core", "letta_memory_core"]
    assert listed(exclude_tool_types=without) == {
        tool.name for tool in found.values() if tool.tool_type not in without
    }
    assert listed(return_only_letta_tools=True) == set(found)
    for wrong in ({"tool_types": ["made_up"]}, {"exclude_tool_types": ["made_up"]}):
        with pytest.raises(BadRequestError):
            client.tools.list(**wrong)


def test_tools_are_listed_in_pages(client):
    everything = names(client.tools.list(limit=1000).items)

    assert names(client.tools.list(limit=3)) == everything
    ascending = client.tools.list(order="asc", limit=1000).items
    assert names(ascending) == everything[::-1]
    assert names(client.tools.list(order="asc", before=ascending[5].id, limit=2).items) == names(
        ascending[3:5]
    )
    with pytest.raises(NotFoundError):
        client.tools.list(after=UNKNOWN)


def test_tools_are_attached_and_detached(client, http, agent):
    tool = client.tools.list(name="web_search").items[0]

    for _ in range(2):
        assert client.agents.tools.attach(tool.id, agent_id=agent.id) is None
    assert sorted(names(client.agents.tools.list(agent.id))) == [
        "conversation_search",
        "memory_insert",
        "memory_replace",
        "web_search",
    ]

    for _ in range(2):
        assert http.patch(f"/v1/agents/{agent.id}/tools/detach/{tool.id}").json() is None
    assert "web_search" not in names(client.agents.tools.list(agent.id))


def test_an_agents_tools_come_in_pages_of_ten(client, make_agent):
    agent = make_agent(tools=BASE_TOOLS.split())

    assert len(client.agents.tools.list(agent.id).items) == 10
    assert sorted(names(client.agents.tools.list(agent.id))) == sorted(BASE_TOOLS.split())


def test_unknown_tools_are_404(client, agent):
    for unknown in (
        lambda: client.tools.retrieve(UNKNOWN),
        lambda: client.agents.tools.attach(UNKNOWN, agent_id=agent.id),
    ):
        with pytest.raises(NotFoundError, match="Tool with id="):
            unknown()
