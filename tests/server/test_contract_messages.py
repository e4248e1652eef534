"""Sending messages to agents and reading their history."""

import threading
import time

import pytest
from letta_client import (
    APIStatusError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    UnprocessableEntityError,
)

UNKNOWN = "message-00000000-0000-4000-8000-000000000000"


def user(content, **more):
    return {"role": "user", "content": content, **more}


def kinds(messages):
    return [message.message_type for message in messages]


def send(client, agent, content, **options):
    return client.agents.messages.create(agent.id, messages=[user(content)], **options)


def history(client, agent, **options):
    return client.agents.messages.list(agent.id, **options).items


def test_an_answer_has_its_messages_stop_reason_and_usage(client, agent):
    response = send(client, agent, 'Please say "tiramisu".')

    [answer] = response.messages
    assert answer.message_type == "assistant_message"
    assert answer.content == "tiramisu"
    assert answer.run_id.startswith("run-")
    assert answer.step_id.startswith("step-")
    assert answer.date.tzinfo is not None
    assert response.stop_reason.stop_reason == "end_turn"
    usage = response.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.step_count == 1


def test_what_an_agent_learns_stays(client, agent):
    response = send(client, agent, "Hi, my name is Ottilie.")

    assert kinds(response.messages) == ["tool_call_message", "tool_return_message", "assistant_message"]
    call, returned, _ = response.messages
    assert call.tool_calls == [call.tool_call]
    assert returned.tool_call_id == call.tool_call.tool_call_id
    assert returned.tool_returns[0].tool_return == returned.tool_return
    assert (returned.status, returned.name) == ("success", call.tool_call.name)
    assert "Ottilie" in client.agents.blocks.retrieve("human", agent_id=agent.id).value
    assert "Ottilie" in send(client, agent, "What is my name?").messages[-1].content


def test_parts_of_one_message_share_its_id_and_count_their_otids(client, agent):
    response = send(client, agent, 'think\ncall conversation_search {"query": "x"}')

    parts = [message for message in response.messages if message.id == response.messages[0].id]
    assert kinds(parts) == ["reasoning_message", "tool_call_message"]
    assert [part.otid[-1] for part in parts] == ["0", "1"]
    assert parts[0].otid[:-2] == parts[0].id.removeprefix("message-")[:-2]
    assert parts[0].source == "reasoner_model"


def test_parallel_calls_are_one_message(client, agent):
    call = 'call conversation_search {"query": "x"}'

    response = send(client, agent, f"{call}\n{call}")

    call, returned, _ = response.messages
    assert len(call.tool_calls) == 2
    assert [each.tool_call_id for each in returned.tool_returns] == [
        each.tool_call_id for each in call.tool_calls
    ]


def test_a_failed_tool_says_so(client, agent):
    response = send(
        client, agent, 'call memory_replace {"label": "human", "old_string": "zz", "new_string": ""}'
    )

    returned = next(each for each in response.messages if each.message_type == "tool_return_message")
    assert returned.status == "error"


def test_max_steps_ends_a_run(client, agent):
    response = send(client, agent, 'call conversation_search {"query": "x"}', max_steps=1)

    assert response.stop_reason.stop_reason == "max_steps"
    assert kinds(response.messages) == ["tool_call_message", "tool_return_message"]


def test_input_is_one_user_message(client, agent):
    client.agents.messages.create(agent.id, input="hello there")
    client.agents.messages.create(agent.id, input=[{"type": "text", "text": "and here"}])

    said = [each.content for each in history(client, agent) if each.message_type == "user_message"]
    assert said == ["hello there", "and here"]


def test_a_message_is_kept_as_it_was_sent(client, agent):
    text = '{"type": "user_message", "message": "not unpacked"}'
    client.agents.messages.create(
        agent.id, messages=[user(text, otid="my-own-otid", name="bob", sender_id="someone")]
    )

    sent = next(each for each in history(client, agent) if each.message_type == "user_message")
    assert (sent.content, sent.otid, sent.name, sent.sender_id) == (text, "my-own-otid", "bob", "someone")


def test_images_are_kept(client, agent):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}

    send(client, agent, [{"type": "text", "text": "look"}, image])

    sent = next(each for each in history(client, agent) if each.message_type == "user_message")
    assert sent.content[0].text == "look"
    assert sent.content[1].source.data == "aGk="


def test_a_repeated_message_is_answered_but_not_run_again(client, agent):
    message = user('say "once"', otid="00000000-1111-4222-8333-444444444444")

    first, second = (client.agents.messages.create(agent.id, messages=[message]) for _ in range(2))

    assert first.messages[0].id == second.messages[0].id
    assert kinds(history(client, agent)) == ["system_message", "user_message", "assistant_message"]


def test_only_wanted_types_are_returned(client, agent):
    response = send(client, agent, "my name is Zoe", include_return_message_types=["assistant_message"])

    assert kinds(response.messages) == ["assistant_message"]
    assert response.usage.step_count == 2
    listed = history(client, agent, include_return_message_types=["user_message", "tool_return_message"])
    assert kinds(listed) == ["user_message", "tool_return_message"]
    run = client.runs.list(agent_id=agent.id).items[0]
    assert run.request_config.include_return_message_types == ["assistant_message"]
    assert kinds(client.runs.messages.list(run.id).items) == ["assistant_message"]


def test_agents_of_older_types_speak_with_a_tool(client, make_agent):
    agent = make_agent(agent_type="memgpt_v2_agent")

    response = send(client, agent, 'say "good day"')
    plain = send(client, agent, 'say "good night"', use_assistant_message=False)

    spoken = [each for each in response.messages if each.message_type == "assistant_message"]
    assert [each.content for each in spoken] == ["good day"]
    assert "tool_return_message" not in kinds(response.messages)
    call = next(each for each in plain.messages if each.message_type == "tool_call_message")
    assert call.tool_call.name == "send_message"
    assert "tool_return_message" in kinds(plain.messages)


def test_heartbeats_are_not_shown_in_arguments(client, make_agent):
    agent = make_agent(agent_type="memgpt_v2_agent")

    send(client, agent, "my name is Yara")

    calls = [each for each in history(client, agent) if each.message_type == "tool_call_message"]
    assert calls
    assert all("request_heartbeat" not in each.tool_call.arguments for each in calls)


def test_a_request_can_use_another_model_and_prompt(client, agent):
    send(client, agent, "hi", override_model="openai/scripted")

    assert client.steps.list(agent_id=agent.id).items[0].model_handle == "openai/scripted"
    assert client.agents.retrieve(agent.id).model == "greenroom/scripted"
    with pytest.raises(NotFoundError, match="must be one of"):
        send(client, agent, "hi", override_model="nobody/nothing")


def test_history_pages_have_absolute_cursors(client, agent):
    for number in range(3):
        send(client, agent, f'say "answer {number}"')
    everything = history(client, agent)
    assert kinds(everything) == ["system_message", *["user_message", "assistant_message"] * 3]

    newest = history(client, agent, limit=2)
    assert newest == everything[-2:]
    oldest = history(client, agent, limit=2, order="asc")
    assert oldest == everything[:2]

    assert history(client, agent, after=everything[4].id) == everything[5:]
    assert history(client, agent, after=everything[4].id, order="asc") == everything[5:]
    assert history(client, agent, before=everything[2].id) == everything[:2]
    assert history(client, agent, before=everything[5].id, limit=2) == everything[3:5]
    assert history(client, agent, after=everything[0].id, order="asc", limit=2) == everything[1:3]
    assert list(client.agents.messages.list(agent.id, before=everything[-1].id, limit=2)) == [
        *everything[4:6],
        *everything[2:4],
        *everything[0:2],
    ]


def test_unknown_cursors_are_404(client, agent, make_agent):
    other = make_agent().message_ids[0]

    for cursor in (UNKNOWN, other, "garbage"):
        with pytest.raises(NotFoundError, match="No message found"):
            client.agents.messages.list(agent.id, after=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**30, "x"])
def test_limits_are_bounded(http, agent, limit):
    assert http.get(f"/v1/agents/{agent.id}/messages", params={"limit": limit}).status_code == 422


def test_reset_empties_the_context_and_keeps_the_history(client, http, agent):
    send(client, agent, "my name is Xenia")
    before = history(client, agent)

    response = http.patch(f"/v1/agents/{agent.id}/reset-messages", json={})

    assert response.json() is None
    after = client.agents.retrieve(agent.id)
    assert after.message_ids == agent.message_ids
    assert [each.id for each in history(client, agent)] == [each.id for each in before]
    assert "Xenia" in history(client, agent)[0].content


def test_reset_can_bring_the_first_messages_back(client, make_agent):
    agent = make_agent(agent_type="memgpt_v2_agent")
    send(client, agent, "hi")

    assert client.agents.messages.reset(agent.id, add_default_initial_messages=True) is None

    assert len(client.agents.retrieve(agent.id).message_ids) == len(agent.message_ids)


def test_cancel_without_a_run_is_a_conflict_that_is_not_tried_again(client, http, agent):
    with pytest.raises(ConflictError, match="No active runs to cancel"):
        client.agents.messages.cancel(agent.id)

    response = http.post(f"/v1/agents/{agent.id}/messages/cancel", json={"run_ids": None})
    assert response.headers["x-should-retry"] == "false"


def test_a_cancelled_run_ends_as_cancelled(client, make_agent):
    agent = make_agent(model="openai/scripted")
    answers = []
    sender = threading.Thread(target=lambda: answers.append(send(client, agent, "fault: hang")))
    sender.start()

    cancelled = cancel_once_running(client, agent)
    sender.join()

    [answer] = answers
    assert answer.stop_reason.stop_reason == "cancelled"
    [run] = client.runs.list(agent_id=agent.id).items
    assert cancelled == {run.id: "cancelled"}
    assert run.status == "cancelled"
    # The endpoint would hang again: the message that it was told to hang on is in the context now.
    client.agents.update(agent.id, model="greenroom/scripted")
    assert send(client, agent, 'say "next"').messages[-1].content == "next"


def cancel_once_running(client, agent):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return client.agents.messages.cancel(agent.id)
        except ConflictError:
            time.sleep(0.02)
    raise AssertionError("No run to cancel ever showed up")


@pytest.mark.parametrize(
    ("fault", "error", "status", "kind"),
    [
        ("400", BadRequestError, 400, "llm_bad_request"),
        ("401", APIStatusError, 401, "llm_authentication"),
        ("402", APIStatusError, 402, "llm_insufficient_credits"),
        ("429", RateLimitError, 429, "llm_rate_limit"),
        ("500", InternalServerError, 500, "llm_error"),
        ("garbage", InternalServerError, 500, "llm_error"),
    ],
)
def test_a_models_failure_is_the_answer(client, make_agent, fault, error, status, kind):
    agent = make_agent(model="openai/scripted")

    with pytest.raises(error) as caught:
        send(client, agent, f"fault: {fault}")

    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.body["error"]["message"]
    [run] = client.runs.list(agent_id=agent.id).items
    assert run.status == "failed"
    assert run.stop_reason == "llm_api_error"
    assert client.agents.retrieve(agent.id).last_stop_reason == "llm_api_error"
    assert send(client, agent, 'say "next"').messages[-1].content == "next"


def test_a_failure_before_any_answer_leaves_no_messages(client, make_agent):
    agent = make_agent(model="openai/scripted")

    with pytest.raises(InternalServerError):
        send(client, agent, "fault: 500")

    assert kinds(history(client, agent)) == ["system_message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": [user("a")], "input": "b"},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [user([])]},
        {"messages": [user([{"type": "video", "url": "x"}])]},
        {"messages": [user([{"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}])]},
        {"messages": [user("x" * 1_000_001)]},
        {"messages": [user("a")] * 1001},
        {"input": "hi", "max_steps": 0},
        {"input": "hi", "max_steps": 10**9},
        {"input": "hi", "include_return_message_types": ["made_up"]},
        {"input": "hi", "stream_tokens": True},
        {"input": "hi", "include_pings": False},
        {"input": "hi", "background": True},
        {"input": "hi", "streaming": "maybe"},
    ],
)
def test_malformed_messages_are_refused_and_change_nothing(client, http, agent, body):
    response = http.post(f"/v1/agents/{agent.id}/messages", json=body)

    assert response.status_code == 422, response.text
    assert client.runs.list(agent_id=agent.id).items == []


def test_empty_messages_are_called_so(client, agent):
    with pytest.raises(UnprocessableEntityError, match="Messages must not be empty"):
        client.agents.messages.create(agent.id, messages=[])


@pytest.mark.parametrize(
    "approval",
    [
        {"type": "approval", "approvals": [{"type": "approval", "tool_call_id": "x", "approve": True}]},
        {"approve": True, "approval_request_id": "x"},
        {
            "type": "tool_return",
            "tool_returns": [{"tool_call_id": "x", "status": "success", "tool_return": ""}],
        },
    ],
)
def test_an_approval_that_nobody_asked_for_is_refused(http, agent, approval):
    response = http.post(f"/v1/agents/{agent.id}/messages", json={"messages": [approval]})

    assert response.status_code == 400
    assert "No tool call is currently awaiting approval" in response.json()["detail"]


@pytest.mark.parametrize(
    "option",
    [
        {"client_tools": [{"name": "f"}]},
        {"client_skills": [{"name": "s", "description": "d", "location": "l"}]},
        {"return_token_ids": True},
        {"streaming": True, "background": True},
    ],
)
def test_options_that_are_not_there_are_named(http, agent, option):
    response = http.post(f"/v1/agents/{agent.id}/messages", json={"input": "hi", **option})

    assert response.status_code == 501
    assert list(option)[-1] in response.json()["detail"]


def test_listing_by_conversation_is_not_there(http, agent):
    path = f"/v1/agents/{agent.id}/messages"
    assert http.get(path, params={"conversation_id": "default"}).status_code == 200
    assert http.get(path, params={"conversation_id": "conv-1"}).status_code == 501
    assert http.get(path, params={"group_id": "group-1"}).status_code == 501
