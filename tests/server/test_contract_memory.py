"""Memory that manages itself: compaction, what is in the context, versions of blocks, shared blocks."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from letta_client import APIStatusError, BadRequestError, ConflictError, NotFoundError
from letta_client.types.agents import InternalMessage

INSERT = 'call memory_insert {"label": "human", "new_string": "%s"}'
CHATTER = "Nothing in this sentence is worth keeping, it only takes up room in the window. " * 12
UNKNOWN = "00000000-0000-4000-8000-000000000000"
SMALL = {"model": "openai/scripted", "context_window_limit": 4_000}


def kinds(messages) -> list[str]:
    return [message.message_type for message in messages]


def say(client, agent, text, **options):
    return client.agents.messages.create(agent.id, input=text, **options)


def in_context(client, agent) -> list[str]:
    return client.agents.retrieve(agent.id).message_ids


def human(client, agent) -> str:
    return client.agents.blocks.retrieve("human", agent_id=agent.id).value


def cancel_once_running(client, agent) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.agents.messages.cancel(agent.id)
        except ConflictError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the run never began")


@pytest.fixture
def talked(client, make_agent):
    """An agent that has talked a little."""
    agent = make_agent()
    for text in ("remember: the key is under the mat", "hello", "and goodbye"):
        say(client, agent, text)
    return agent


class TestCompaction:
    def test_older_messages_make_room_for_a_summary(self, client, talked):
        before = in_context(client, talked)

        done = client.agents.messages.compact(talked.id)

        assert "the key is under the mat" in done.summary
        after = in_context(client, talked)
        assert (done.num_messages_before, done.num_messages_after) == (len(before), len(after))
        assert after[0] == before[0]
        assert after[2:] == before[-len(after) + 2 :]
        assert {message.id for message in client.agents.messages.list(talked.id)} == {*before, *after}

    def test_everything_can_be_summarised(self, client, talked):
        settings = {"mode": "all", "prompt_acknowledgement": True}
        done = client.agents.messages.compact(talked.id, compaction_settings=settings)

        assert done.num_messages_after == 2
        assert len(in_context(client, talked)) == 2

    @pytest.mark.parametrize("mode", ["self_compact_all", "self_compact_sliding_window"])
    def test_an_agent_can_summarise_itself(self, client, talked, mode):
        settings = {"mode": mode, "prompt_acknowledgement": False}
        done = client.agents.messages.compact(talked.id, compaction_settings=settings)

        assert "the key is under the mat" in done.summary
        assert done.num_messages_after < done.num_messages_before

    def test_a_summary_is_listed_with_what_it_saved(self, client, talked):
        done = client.agents.messages.compact(talked.id)

        summary = client.agents.messages.list(talked.id).items[-1]
        assert (summary.message_type, summary.summary) == ("summary_message", done.summary)
        stats = summary.compaction_stats
        assert stats.trigger == "requested"
        assert stats.messages_count_before == done.num_messages_before
        assert stats.messages_count_after == done.num_messages_after
        assert 0 < stats.context_tokens_after < stats.context_window
        [step] = [step for step in client.steps.list(agent_id=talked.id) if step.origin == "compaction"]
        assert step.id == summary.step_id

    def test_settings_bound_the_summary_and_choose_its_model(self, client, talked):
        settings = {"mode": "all", "prompt_acknowledgement": False, "clip_chars": 10}
        settings |= {"model": "openai/scripted"}
        done = client.agents.messages.compact(talked.id, compaction_settings=settings)

        assert len(done.summary) <= 12
        [step] = [step for step in client.steps.list(agent_id=talked.id) if step.origin == "compaction"]
        assert step.model_handle == "openai/scripted"

    def test_a_compaction_can_be_undone(self, client, talked):
        before = in_context(client, talked)
        client.agents.messages.compact(talked.id)

        undone = client.agents.update(talked.id, extra_body={"message_ids": before})

        assert undone.message_ids == before == in_context(client, talked)
        assert "under the mat" in say(client, talked, "what is my key?").messages[-1].content

    def test_there_must_be_something_to_summarise(self, client, agent):
        with pytest.raises(BadRequestError):
            client.agents.messages.compact(agent.id)
        say(client, agent, "hello")
        client.agents.messages.compact(agent.id, compaction_settings={"mode": "all"})
        with pytest.raises(BadRequestError, match="Summarization failed to reduce the number of messages"):
            client.agents.messages.compact(agent.id, compaction_settings={"mode": "all"})

    @pytest.mark.parametrize(
        "settings",
        [
            {"mode": "some"},
            {"clip_chars": 0},
            {"sliding_window_percentage": 1.5},
            {"sliding_window_percentage": "much"},
            {"prompt": 7},
            {"model": ""},
            [],
        ],
    )
    def test_bad_settings_are_refused(self, http, talked, settings):
        url = f"/v1/agents/{talked.id}/summarize"
        assert http.post(url, json={"compaction_settings": settings}).status_code == 422

    def test_unknown_models_and_agents_are_not_found(self, client, talked):
        with pytest.raises(NotFoundError, match="must be one of"):
            client.agents.messages.compact(talked.id, compaction_settings={"model": "nobody/nothing"})
        with pytest.raises(NotFoundError):
            client.agents.messages.compact(f"agent-{UNKNOWN}")

    def test_null_means_that_a_summary_is_not_clipped(self, http, make_agent):
        agent = make_agent(compaction_settings={"clip_chars": 7})
        url = f"/v1/agents/{agent.id}"
        settings = http.patch(url, json={"compaction_settings": {"clip_chars": None}}).json()
        assert settings["compaction_settings"]["clip_chars"] is None


class TestFullWindow:
    def fill(self, client, agent, **options):
        """Talk until the reply tells of a compaction."""
        for _ in range(30):
            reply = say(client, agent, CHATTER, **options)
            listed = client.agents.messages.list(agent.id, limit=1000)
            if "summary_message" in kinds(listed):
                return reply
        raise AssertionError("the window never filled up")

    def test_a_full_window_is_summarised_unasked_and_unmentioned(self, client, make_agent):
        agent = make_agent(**SMALL)
        say(client, agent, "remember: the key is under the mat")

        reply = self.fill(client, agent)

        assert {"summary_message", "event_message"}.isdisjoint(kinds(reply.messages))
        assert "under the mat" in say(client, agent, "what is my key?").messages[-1].content
        assert client.agents.retrieve(agent.id).last_stop_reason == "end_turn"

    def test_who_wants_to_know_is_told_first_of_the_event(self, client, make_agent):
        agent = make_agent(**SMALL)
        reply = self.fill(client, agent, include_compaction_messages=True)

        *_, event, summary = reply.messages
        assert (event.message_type, event.event_type) == ("event_message", "compaction")
        assert event.event_data["context_window"] == 4_000
        assert event.event_data["trigger"] == "post_step_context_check"
        assert summary.compaction_stats.context_tokens_after < event.event_data["context_token_estimate"]

    def test_streams_tell_it_only_to_who_wants_to_know(self, client, http, make_agent):
        agent = make_agent(**SMALL)
        told = []
        for _ in range(30):
            told += client.agents.messages.create(
                agent.id, input=CHATTER, streaming=True, include_pings=False
            )
            if "summary_message" in kinds(client.agents.messages.list(agent.id, limit=1000)):
                break
        assert set(kinds(told)) == {"assistant_message", "stop_reason", "usage_statistics"}

        body = {"input": CHATTER, "include_compaction_messages": True, "streaming": True}
        for _ in range(30):
            text = http.post(f"/v1/agents/{agent.id}/messages", json=body).text
            if '"summary_message"' in text:
                break
        assert text.index('"event_message"') < text.index('"summary_message"') < text.index('"stop_reason"')

    def test_a_system_prompt_that_never_fits_is_said_clearly(self, client, http, make_agent):
        agent = make_agent(model="openai/scripted", system="word " * 9_000)
        client.agents.update(agent.id, context_window_limit=4_000)

        with pytest.raises(APIStatusError) as caught:
            say(client, agent, "hello")

        assert caught.value.status_code == 400
        assert "context_window_limit" in str(caught.value)
        reason = "context_window_overflow_in_system_prompt"
        assert client.agents.retrieve(agent.id).last_stop_reason == reason
        body = {"input": "hello", "streaming": True, "include_pings": False}
        frames = http.post(f"/v1/agents/{agent.id}/messages", json=body).text.split("\n\n")
        assert json.loads(frames[0].removeprefix("data: "))["stop_reason"] == reason
        assert frames[1].startswith("event: error\n")
        assert json.loads(frames[1].partition("data: ")[2])["error_type"] == reason
        assert frames[2] == "data: [DONE]"


class TestContext:
    def test_the_overview_has_every_part(self, client, http, talked):
        overview = http.get(f"/v1/agents/{talked.id}/context").json()

        assert overview["num_messages"] == len(in_context(client, talked)) == len(overview["messages"])
        assert overview["num_recall_memory"] == len(overview["messages"])
        assert overview["context_window_size_max"] == talked.llm_config.context_window
        assert overview["system_prompt"] == talked.system
        assert "under the mat" in overview["core_memory"]
        assert f"- AGENT_ID: {talked.id}" in overview["external_memory_summary"]
        assert overview["num_archival_memory"] == 0
        assert [each["function"]["name"] for each in overview["functions_definitions"]] == [
            tool.name for tool in talked.tools
        ]
        parts = [value for name, value in overview.items() if name.startswith("num_tokens_")]
        assert overview["context_window_size_current"] == sum(parts)
        assert overview["num_tokens_messages"] > 0
        assert overview["num_tokens_core_memory"] > 0
        assert (overview["summary_memory"], overview["num_tokens_summary_memory"]) == (None, 0)

    def test_its_messages_have_the_internal_form(self, http, talked):
        shown = http.get(f"/v1/agents/{talked.id}/context").json()["messages"]

        messages = [InternalMessage.model_validate(message) for message in shown]
        assert [message.role for message in messages[:5]] == [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        system, user, called, returned, _ = messages[:5]
        assert "<memory_metadata>" in system.content[0].text
        assert user.content[0].text == "remember: the key is under the mat"
        assert called.tool_calls[0].function.name == "memory_insert"
        assert returned.tool_call_id == called.tool_calls[0].id == returned.tool_returns[0].tool_call_id
        assert all(message.agent_id == talked.id for message in messages)

    def test_it_shows_the_summary(self, client, http, talked):
        done = client.agents.messages.compact(talked.id)
        overview = http.get(f"/v1/agents/{talked.id}/context").json()

        assert overview["summary_memory"] == done.summary
        assert overview["num_tokens_summary_memory"] > 0
        assert overview["num_recall_memory"] > overview["num_messages"] == done.num_messages_after

    def test_the_system_message_is_shown_as_the_next_step_would_have_it(self, client, http, make_agent):
        block = client.blocks.create(label="plan", value="Build a shed.")
        agent = make_agent(block_ids=[block.id])
        client.blocks.update(block.id, value="Build a boat.")

        system = client.agents.messages.list(agent.id).items[0]
        assert "Build a boat." in system.content
        assert client.messages.retrieve(system.id)[0].content.startswith("<base_instructions>")
        assert "Build a boat." in client.messages.retrieve(system.id)[0].content
        overview = http.get(f"/v1/agents/{agent.id}/context").json()
        assert "Build a boat." in overview["core_memory"]
        assert "Build a boat." in overview["messages"][0]["content"][0]["text"]

        client.blocks.delete(block.id)
        assert "boat" not in client.messages.retrieve(system.id)[0].content

    def test_a_prompt_is_recompiled(self, client, http, talked):
        stored = client.agents.messages.list(talked.id, order="asc", limit=1).items[0].content
        dry = json.loads(client.agents.recompile(talked.id, dry_run=True))
        assert client.agents.messages.list(talked.id, order="asc", limit=1).items[0].content == stored

        prompt = json.loads(client.agents.recompile(talked.id))
        assert client.agents.messages.list(talked.id, order="asc", limit=1).items[0].content == prompt
        for text in (dry, prompt):
            assert "under the mat" in text
            assert "- 0 previous messages" in text

        client.agents.messages.compact(talked.id, compaction_settings={"mode": "all"})
        older = http.post(f"/v1/agents/{talked.id}/system-prompt/recompile").json()
        assert "- 8 previous messages" in older

    def test_the_raw_payload_is_what_the_provider_would_get(self, client, http, make_agent):
        agent = make_agent(model="openai/scripted")
        say(client, agent, "hello")
        before = in_context(client, agent)
        url = f"/v1/agents/{agent.id}/messages/preview-raw-payload"

        payload = http.post(url, json={"input": "and now?"}).json()

        assert payload["model"] == "scripted"
        assert [message["role"] for message in payload["messages"]] == ["system", "user", "assistant", "user"]
        assert payload["messages"][-1]["content"] == "and now?"
        assert "Bob the Builder" in payload["messages"][0]["content"]
        assert {each["function"]["name"] for each in payload["tools"]} == {tool.name for tool in agent.tools}
        assert "stream" not in payload
        assert in_context(client, agent) == before

        options = {"streaming": True, "stream_tokens": True, "override_system": "Be brief."}
        streamed = http.post(url, json={"input": "and now?", **options}).json()
        assert (streamed["stream"], streamed["messages"][0]["content"]) == (True, "Be brief.")
        approval = {"messages": [{"type": "approval", "approvals": []}]}
        assert http.post(url, json=approval).status_code == 400


class TestMessageIds:
    def test_the_context_is_what_is_asked_for(self, client, talked):
        ids = in_context(client, talked)
        wanted = [ids[0], ids[-1], ids[5], ids[6]]

        client.agents.update(talked.id, extra_body={"message_ids": wanted})

        assert in_context(client, talked) == wanted
        assert len(client.agents.messages.list(talked.id).items) >= len(ids)
        assert "- 5 previous messages" in json.loads(client.agents.recompile(talked.id, dry_run=True))
        assert say(client, talked, 'say "still here"').messages[-1].content == "still here"

    def test_calls_and_returns_may_be_torn_apart(self, client, make_agent):
        agent = make_agent(model="openai/scripted")
        say(client, agent, "remember: the key is under the mat")
        system, _, called, returned, _ = in_context(client, agent)

        for kept in (called, returned):
            client.agents.update(agent.id, extra_body={"message_ids": [system, kept]})
            assert say(client, agent, 'say "fine"').messages[-1].content == "fine"

    def test_only_the_agents_own_messages_will_do(self, client, make_agent, talked):
        ids, other = in_context(client, talked), in_context(client, make_agent())
        for wrong, status in [
            ([], 400),
            ([ids[1]], 400),
            ([other[0]], 400),
            ([ids[0], ids[1], ids[1]], 400),
            ([ids[0], *other], 404),
            ([ids[0], f"message-{UNKNOWN}"], 404),
            ([ids[0], "message-1"], 404),
        ]:
            with pytest.raises(APIStatusError) as caught:
                client.agents.update(talked.id, extra_body={"message_ids": wrong})
            assert caught.value.status_code == status
        assert in_context(client, talked) == ids

    def test_a_context_can_be_emptied_after_every_run(self, client, make_agent):
        agent = make_agent(message_buffer_autoclear=True)
        say(client, agent, "remember: the key is under the mat")

        assert len(in_context(client, agent)) == 1
        assert len(client.agents.messages.list(agent.id).items) > 4
        assert "under the mat" in say(client, agent, "what is my key?").messages[-1].content

    def test_that_holds_for_a_run_that_is_cancelled_too(self, client, make_agent):
        agent = make_agent(message_buffer_autoclear=True, model="openai/scripted")
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(say, client, agent, "fault: hang")
            cancel_once_running(client, agent)
        assert reply.result().stop_reason.stop_reason == "cancelled"
        assert len(in_context(client, agent)) == 1
        assert "user_message" in kinds(client.agents.messages.list(agent.id))

    def test_a_reset_context_is_counted_and_compiled(self, client, http, make_agent):
        agent = make_agent(agent_type="memgpt_v2_agent", include_base_tool_rules=True)
        say(client, agent, "hello")
        assert client.agents.messages.reset(agent.id, add_default_initial_messages=True) is None

        overview = http.get(f"/v1/agents/{agent.id}/context").json()
        assert overview["num_messages"] == 4
        assert overview["num_tokens_messages"] > 10
        assert "- 6 previous messages" in client.agents.messages.list(agent.id, order="asc").items[0].content

    def test_a_timezone_is_used_from_then_on(self, client, http, agent):
        client.agents.update(agent.id, timezone="Asia/Tokyo")
        assert "JST+0900" in client.agents.messages.list(agent.id).items[0].content
        assert http.patch(f"/v1/agents/{agent.id}", json={"timezone": "Mars"}).status_code == 422


class TestVersions:
    def versions(self, http, block_id, **query) -> list[dict]:
        answer = http.get(f"/v1/blocks/{block_id}/versions", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_every_edit_is_a_version_that_says_what_made_it(self, client, http, agent):
        block = client.agents.blocks.retrieve("human", agent_id=agent.id)
        reply = say(client, agent, f"{INSERT % 'first'}\n{INSERT % 'second'}")
        client.blocks.update(block.id, description="Who they are.")

        api, *second, made = self.versions(http, block.id)
        assert made["value"] == block.value
        assert (made["source"], made["step_id"]) == ("api", None)
        assert (api["source"], api["description"], api["tool_call_id"]) == ("api", "Who they are.", None)
        calls = [m for m in reply.messages if m.message_type == "tool_call_message"]
        by_call = {each["tool_call_id"]: each for each in second}
        assert by_call.keys() == {call.tool_call_id for m in calls for call in m.tool_calls}
        for message in calls:
            for call in message.tool_calls:
                version = by_call[call.tool_call_id]
                assert (version["source"], version["agent_id"]) == ("agent", agent.id)
                assert (version["message_id"], version["step_id"]) == (message.id, message.step_id)
                assert version["run_id"] == message.run_id
                assert json.loads(call.arguments)["new_string"] in version["value"]
        assert [each["version"] for each in (api, *second, made)] == [3, 2, 1, 0]
        assert datetime.fromisoformat(made["created_at"]) <= datetime.fromisoformat(api["created_at"])

    def test_versions_are_paged_by_number(self, client, http):
        block = client.blocks.create(label="plan", value="0")
        for number in range(1, 6):
            client.blocks.update(block.id, value=str(number))

        def page(**query):
            return [each["value"] for each in self.versions(http, block.id, **query)]

        assert page() == list("543210")
        assert page(limit=2) == ["5", "4"]
        assert page(limit=2, after=4) == ["3", "2"]
        assert page(limit=2, before=1) == ["3", "2"]
        assert page(order="asc", limit=2) == ["0", "1"]
        assert page(order="asc", after=3) == ["4", "5"]
        assert page(order="asc", limit=2, before=4) == ["2", "3"]
        assert page(after=5, before=2) == ["4", "3"]
        url = f"/v1/blocks/{block.id}/versions"
        for bad in ({"limit": 0}, {"limit": 101}, {"after": "x"}, {"order": "up"}):
            assert http.get(url, params=bad).status_code == 422
        client.blocks.delete(block.id)
        assert http.get(url).status_code == 404

    def test_a_block_goes_back_to_a_version_with_a_new_one(self, client, http, agent):
        block = client.agents.blocks.retrieve("human", agent_id=agent.id)
        say(client, agent, INSERT % "a mistake")
        assert "a mistake" in human(client, agent)

        url = f"/v1/blocks/{block.id}/revert"
        reverted = http.post(url, json={"version": 0}).json()

        assert reverted["value"] == block.value == human(client, agent)
        newest = self.versions(http, block.id)[0]
        assert (newest["version"], newest["source"]) == (2, "api")
        assert "a mistake" in self.versions(http, block.id)[1]["value"]
        assert "a mistake" not in client.agents.messages.list(agent.id, order="asc").items[0].content
        assert http.post(url, json={"version": 9}).status_code == 404
        for bad in ({}, {"version": -1}, {"version": "x"}):
            assert http.post(url, json=bad).status_code == 422
        assert http.post(f"/v1/blocks/block-{UNKNOWN}/revert", json={"version": 0}).status_code == 404

    def test_a_label_may_not_come_back_where_another_block_has_it(self, client, http, make_agent):
        block = client.blocks.create(label="plan", value="x")
        agent = make_agent(block_ids=[block.id])
        client.blocks.update(block.id, label="goal")
        client.agents.blocks.attach(client.blocks.create(label="plan", value="y").id, agent_id=agent.id)

        assert http.post(f"/v1/blocks/{block.id}/revert", json={"version": 0}).status_code == 409
        with pytest.raises(ConflictError):
            client.blocks.update(block.id, label="persona")
        with pytest.raises(ConflictError):
            client.agents.blocks.update("goal", agent_id=agent.id, label="persona")
        assert client.blocks.retrieve(block.id).label == "goal"


class TestBlame:
    def blame(self, http, agent, label="human") -> dict:
        blocks = http.get(f"/v1/agents/{agent.id}/memory/blame").json()
        return next(block for block in blocks if block["label"] == label)

    def test_every_line_says_who_wrote_it(self, client, http, agent):
        first = say(client, agent, INSERT % "likes tea").messages
        say(client, agent, INSERT % "likes rain")
        block_id = self.blame(http, agent)["block_id"]
        text = client.blocks.retrieve(block_id).value.replace("likes rain", "likes sun")
        client.blocks.update(block_id, value=text)

        told = self.blame(http, agent)

        assert [line["text"] for line in told["lines"]] == text.split("\n")
        assert [line["line"] for line in told["lines"]] == [1, 2, 3]
        assert [line["version"] for line in told["lines"]] == [0, 1, 3]
        assert [line["source"] for line in told["lines"]] == ["api", "agent", "api"]
        call = next(message for message in first if message.message_type == "tool_call_message")
        tea = told["lines"][1]
        assert (tea["agent_id"], tea["run_id"], tea["step_id"]) == (agent.id, call.run_id, call.step_id)
        assert (tea["message_id"], tea["tool_call_id"]) == (call.id, call.tool_call.tool_call_id)
        assert datetime.fromisoformat(tea["written_at"])
        assert (told["complete"], told["version"]) == (True, 3)

    def test_an_empty_block_has_no_lines(self, client, http, make_agent):
        agent = make_agent(memory_blocks=[{"label": "empty", "value": ""}])
        assert self.blame(http, agent, "empty")["lines"] == []
        bare = make_agent(memory_blocks=[])
        assert http.get(f"/v1/agents/{bare.id}/memory/blame").json() == []
        assert http.get(f"/v1/agents/agent-{UNKNOWN}/memory/blame").status_code == 404


class TestSharedBlocks:
    def test_no_edit_is_lost_when_agents_and_clients_edit_at_once(self, client, make_agent):
        block = client.blocks.create(label="notes", value="start")
        agents = [make_agent(block_ids=[block.id], memory_blocks=[]) for _ in range(4)]

        def note(agent, number):
            text = f'call memory_insert {{"label": "notes", "new_string": "{agent.id} {number}"}}'
            say(client, agent, text)

        def describe(number):
            client.blocks.update(block.id, description=f"edit {number}")

        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(note, agent, number) for number in range(5) for agent in agents]
            work += [pool.submit(describe, number) for number in range(10)]
            for each in work:
                each.result()

        lines = client.blocks.retrieve(block.id).value.splitlines()
        assert sorted(lines[1:]) == sorted(f"{agent.id} {number}" for agent in agents for number in range(5))
        for agent in agents:
            shown = client.agents.messages.list(agent.id, order="asc", limit=1).items[0].content
            assert all(line in shown for line in lines)

    def test_every_agent_sees_the_edit_of_another_at_its_next_step(self, client, make_agent):
        block = client.blocks.create(label="human", value="Nothing yet.")
        writer, reader = (make_agent(block_ids=[block.id], memory_blocks=[]) for _ in range(2))
        say(client, reader, "hello")

        say(client, writer, "My name is Ada.")

        assert say(client, reader, "what is my name?").messages[-1].content == "Your name is Ada."
        client.agents.blocks.update("human", agent_id=writer.id, value="The user's name is Bob.")
        assert say(client, reader, "what is my name?").messages[-1].content == "Your name is Bob."
        client.blocks.update(block.id, value="The user's name is Cid.")
        assert say(client, reader, "what is my name?").messages[-1].content == "Your name is Cid."

    def test_agents_live_on_without_a_block_that_was_deleted(self, client, make_agent):
        block = client.blocks.create(label="plan", value="Build a boat.")
        awake, asleep = (make_agent(block_ids=[block.id]) for _ in range(2))
        say(client, awake, "hello")

        client.blocks.delete(block.id)

        for agent in (awake, asleep):
            assert {each.label for each in client.agents.blocks.list(agent.id)} == {"human", "persona"}
            assert client.agents.update(agent.id, description="changed").description == "changed"
            say(client, agent, "remember: the key is under the mat")
            assert "boat" not in client.agents.messages.list(agent.id, order="asc", limit=1).items[0].content
            fresh = client.blocks.create(label="plan", value="Rest.")
            attached = client.agents.blocks.attach(fresh.id, agent_id=agent.id)
            assert [each.label for each in attached.blocks] == ["human", "persona", "plan"]
            with pytest.raises(NotFoundError):
                client.agents.blocks.attach(block.id, agent_id=agent.id)
