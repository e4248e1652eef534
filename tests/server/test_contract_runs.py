"""Runs, steps and messages by themselves; models; tags."""

import pytest

MISSING = "00000000-0000-4000-8000-000000000000"


def ids(page):
    return [item.id for item in page]


def kinds(messages):
    return [message.message_type for message in messages]


@pytest.fixture
def used(client, agent):
    """An agent after two runs, of two steps and one."""
    for text in ("my name is Jonas", 'say "done"'):
        client.agents.messages.create(agent.id, messages=[{"role": "user", "content": text}])
    return agent


def test_a_run_tells_how_it_went(client, used):
    last, first = client.runs.list(agent_id=used.id).items

    assert client.runs.retrieve(first.id) == first
    assert first.created_at < last.created_at
    for run in (first, last):
        assert run.agent_id == used.id
        assert (run.status, run.stop_reason, run.background) == ("completed", "end_turn", False)
        assert run.completed_at >= run.created_at
        assert run.total_duration_ns > 0
        assert run.ttft_ns > 0
        assert run.metadata["run_type"] == "send_message"


def test_each_request_is_one_run(client, agent):
    before = len(list(client.runs.list(agent_id=agent.id)))

    client.agents.messages.create(agent.id, messages=[{"role": "user", "content": "my name is Ed"}])

    assert len(list(client.runs.list(agent_id=agent.id))) == before + 1


def test_runs_are_listed_by_how_they_went(client, http, used):
    runs = ids(client.runs.list(agent_id=used.id, order="asc"))

    def listed(**filters):
        return ids(client.runs.list(agent_id=used.id, **filters).items)

    assert listed() == runs[::-1]
    assert listed(ascending=True) == runs
    assert listed(limit=1, after=runs[1]) == runs[:1]
    assert listed(statuses=["completed"]) == runs[::-1]
    assert listed(statuses=["failed", "cancelled"]) == []
    assert listed(active=True) == []
    assert listed(background=True) == []
    assert listed(stop_reason="end_turn") == runs[::-1]
    assert listed(stop_reason="error") == []
    assert set(runs) <= set(ids(client.runs.list(agent_ids=[used.id]).items))
    assert http.get("/v1/runs/active", params={"agent_id": used.id}).json() == []


def test_a_runs_messages_begin_with_its_input(client, used):
    first = client.runs.list(agent_id=used.id, order="asc").items[0]

    messages = client.runs.messages.list(first.id).items

    assert kinds(messages) == [
        "user_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert messages[0].content == "my name is Jonas"
    assert client.runs.messages.list(first.id, order="desc").items == messages[::-1]
    assert list(client.runs.messages.list(first.id, limit=1)) == messages
    assert list(client.runs.messages.list(first.id, limit=1, order="desc")) == messages[::-1]
    assert client.runs.messages.list(first.id, limit=1, before=messages[2].id).items == messages[1:2]


def test_a_run_has_its_steps_and_usage(client, used):
    first = client.runs.list(agent_id=used.id, order="asc").items[0]

    steps = client.runs.steps.list(first.id, order="asc").items
    usage = client.runs.usage.retrieve(first.id)

    assert len(steps) == 2
    assert ids(client.runs.steps.list(first.id)) == ids(steps)[::-1]
    assert usage.prompt_tokens == sum(step.prompt_tokens for step in steps)
    assert usage.completion_tokens == sum(step.completion_tokens for step in steps)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_step_tells_how_it_went(client, used):
    step = client.steps.list(agent_id=used.id, order="asc").items[0]

    assert client.steps.retrieve(step.id).total_tokens == step.total_tokens
    assert (step.agent_id, step.status) == (used.id, "success")
    assert (step.model, step.api_model_handle) == ("scripted", "greenroom/scripted")
    assert step.total_tokens > 0
    metrics = client.steps.metrics.retrieve(step.id)
    assert (metrics.id, metrics.run_id) == (step.id, step.run_id)
    assert metrics.step_ns >= metrics.llm_request_ns > 0
    made = client.steps.messages.list(step.id).items
    assert kinds(made) == ["tool_call_message", "tool_return_message"]
    assert client.steps.messages.list(step.id, order="desc").items == made[::-1]


def test_steps_are_listed_by_what_they_are(client, http, used):
    steps = ids(client.steps.list(agent_id=used.id, order="asc"))
    assert len(steps) == 3

    def listed(**filters):
        return ids(client.steps.list(agent_id=used.id, **filters).items)

    assert listed() == steps[::-1]
    assert listed(limit=1, after=steps[2]) == [steps[1]]
    assert listed(model="scripted") == steps[::-1]
    assert listed(model="another") == []
    assert listed(has_feedback=True) == []
    assert listed(has_feedback=False) == steps[::-1]
    assert listed(feedback="positive") == []
    assert listed(tags=["x"]) == []
    assert listed(start_date="2999-01-01T00:00:00Z") == []
    assert listed(end_date="2000-01-01T00:00:00Z") == []
    assert listed(start_date="2000-01-01T00:00:00Z", end_date="2999-01-01T00:00:00Z") == steps[::-1]
    assert http.get("/v1/steps", params={"trace_ids": "x"}).status_code == 501
    assert http.get("/v1/steps", params={"start_date": "soon"}).status_code == 422


def test_a_message_is_retrieved_as_all_its_parts(client, used):
    message = client.agents.messages.list(used.id).items[2]

    assert client.messages.retrieve(message.id) == [message]


def test_messages_of_all_agents_are_listed(client, used, make_agent):
    other = make_agent()
    mine = ids(client.agents.messages.list(used.id).items)

    newest = client.messages.list(limit=2)

    assert newest[-1].id == other.message_ids[0]
    assert newest[0].id == mine[-1]
    assert {each.id for each in client.messages.list(after=mine[-1])} >= {other.message_ids[0]}
    assert client.messages.list(before=mine[1], limit=1)[0].id == mine[0]
    assert set(kinds(client.messages.list(include_return_message_types=["user_message"]))) == {"user_message"}


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/runs/run-{MISSING}",
        f"/v1/runs/run-{MISSING}/messages",
        f"/v1/runs/run-{MISSING}/steps",
        f"/v1/runs/run-{MISSING}/usage",
        f"/v1/steps/step-{MISSING}",
        f"/v1/steps/step-{MISSING}/messages",
        f"/v1/steps/step-{MISSING}/metrics",
        f"/v1/messages/message-{MISSING}",
        f"/v1/messages?after=message-{MISSING}",
        f"/v1/steps?after=step-{MISSING}",
    ],
)
def test_what_is_unknown_is_404(http, path):
    assert http.get(path).status_code == 404
    assert http.get(path.replace(MISSING, "x")).status_code in (404, 422)


def test_models_are_listed_by_provider(client):
    handles = {model.handle: model for model in client.models.list()}

    assert {"greenroom/scripted", "openai/scripted"} <= set(handles)
    model = handles["greenroom/scripted"]
    assert model.max_context_window == model.context_window == 128_000
    assert (model.name, model.provider_name, model.api_model_type) == ("scripted", "greenroom", "llm")
    assert [each.handle for each in client.models.list(provider_name="greenroom")] == ["greenroom/scripted"]
    assert all(each.provider_type == "openai" for each in client.models.list(provider_type="openai"))
    assert client.models.list(provider_category=["byok"]) == []


def test_embedding_models_are_listed(client):
    [scripted] = [each for each in client.models.embeddings.list() if each.handle == "greenroom/scripted"]

    assert scripted.embedding_dim > 0
    assert scripted.api_model_type == "embedding"


def test_tags_are_those_of_agents_and_blocks(client, make_agent):
    make_agent(tags=["tag-b", "tag-a"])
    block = client.blocks.create(label="x", value="y", tags=["tag-c", "tag-a"])

    def listed(**filters):
        return client.tags.list(query_text="TAG-", **filters)

    assert listed() == ["tag-a", "tag-b", "tag-c"]
    assert listed(order="desc") == ["tag-c", "tag-b", "tag-a"]
    assert listed(limit=1) == ["tag-a"]
    assert listed(after="tag-a", limit=1) == ["tag-b"]
    assert listed(after="tag-b", order="desc") == ["tag-a"]
    assert listed(before="tag-c", limit=1) == ["tag-b"]
    assert client.tags.list(name="tag-b") == ["tag-b"]
    client.blocks.delete(block.id)
    assert listed() == ["tag-a", "tag-b"]
