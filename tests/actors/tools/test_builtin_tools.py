"""The table of built-in tools."""

import pytest
from letta_client.types import Tool as ApiTool

from actors.tools.builtin import BUILTIN, BY_ID
from storage.ids import is_id

PARAMETERS = {
    "send_message": ["message*"],
    "conversation_search": ["query", "roles", "limit", "start_date", "end_date"],
    "archival_memory_insert": ["content*", "tags"],
    "archival_memory_search": [
        "query*",
        "tags",
        "tag_match_mode",
        "top_k",
        "start_datetime",
        "end_datetime",
    ],
    "core_memory_append": ["label*", "content*"],
    "core_memory_replace": ["label*", "old_content*", "new_content*"],
    "memory": [
        "command*",
        "path",
        "file_text",
        "description",
        "old_string",
        "new_string",
        "insert_line",
        "insert_text",
        "old_path",
        "new_path",
    ],
    "memory_apply_patch": ["label*", "patch*"],
    "memory_replace": ["label*", "old_string*", "new_string*"],
    "memory_insert": ["label*", "new_string*", "insert_line"],
    "memory_rethink": ["label*", "new_memory*"],
    "memory_finish_edits": [],
    "send_message_to_agent_and_wait_for_reply": ["message*", "other_agent_id*"],
    "send_message_to_agents_matching_tags": ["message*", "match_all*", "match_some*"],
    "send_message_to_agent_async": ["message*", "other_agent_id*"],
    "store_memories": ["chunks*"],
    "rethink_user_memory": ["new_memory*"],
    "finish_rethinking_memory": [],
    "search_memory": ["convo_keyword_queries", "start_minutes_ago", "end_minutes_ago"],
    "run_code": ["code*", "language*"],
    "run_code_with_tools": ["code*"],
    "web_search": [
        "query*",
        "num_results",
        "category",
        "include_text",
        "include_domains",
        "exclude_domains",
        "start_published_date",
        "end_published_date",
        "user_location",
    ],
    "fetch_webpage": ["url*"],
    "open_files": ["file_requests*", "close_all_others"],
    "grep_files": ["pattern*", "include", "context_lines", "offset"],
    "semantic_search_files": ["query*", "limit"],
}


def test_the_set_is_complete():
    assert sorted(BUILTIN) == sorted(PARAMETERS)
    assert len(BY_ID) == len(BUILTIN) == 26


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    parameters = BUILTIN[name].json_schema["parameters"]

    marked = [each + "*" * (each in parameters["required"]) for each in parameters["properties"]]
    assert marked == PARAMETERS[name]
    assert all(each["description"] and each["type"] for each in parameters["properties"].values())


@pytest.mark.parametrize("tool", BUILTIN.values(), ids=str)
def test_records(tool):
    assert is_id(tool.id, "tool")
    assert BY_ID[tool.id] is tool
    assert tool.tags == [tool.tool_type]
    assert tool.source_code is None
    assert tool.json_schema["name"] == tool.name
    assert tool.json_schema["description"] == tool.description != ""
    ApiTool.model_validate(tool.model_dump(), strict=True)


def test_ids_never_change():
    # Agents keep these ids in their stored state.
    assert BUILTIN["send_message"].id == "tool-30955719-99e7-4b63-a32c-d531b3c70df4"


def test_types():
    types = {name: BUILTIN[name].tool_type for name in ("memory_insert", "memory", "run_code", "open_files")}

    assert types == {
        "memory_insert": "letta_sleeptime_core",
        "memory": "letta_memory_core",
        "run_code": "letta_builtin",
        "open_files": "letta_files_core",
    }
