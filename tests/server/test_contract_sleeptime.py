"""Sleep-time agents through the official client: made, fed, told apart, taken away."""

import pytest
from letta_client import NotFoundError

NEVER = "agent-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def pair(make_agent):
    """An agent with a sleep-time agent."""
    return make_agent(enable_sleeptime=True)


def wait_for_run(client, run_id):
    """The status that a background run ends with; a stuck one ends the test by its time limit."""
    while (run := client.runs.retrieve(run_id)).status not in ("completed", "failed", "cancelled"):
        pass
    return run.status


def test_creating_with_sleeptime_makes_a_second_agent_that_shares_the_blocks(client, pair):
    agent = pair
    group = agent.managed_group
    assert group is not None
    assert (group.manager_type, group.manager_agent_id) == ("sleeptime", agent.id)
    assert group.sleeptime_agent_frequency == 5
    assert {tool.name for tool in agent.tools} == {
        "send_message",
        "conversation_search",
        "archival_memory_search",
    }
    (sleeptime_id,) = group.agent_ids
    sleeptime = client.agents.retrieve(sleeptime_id, include=["agent.blocks"])
    assert sleeptime.name == f"{agent.name}-sleeptime"
    assert sleeptime.agent_type == "sleeptime_agent"
    shared = {block.id for block in agent.blocks}
    assert shared < {block.id for block in sleeptime.blocks}
    assert "memory_persona" in {block.label for block in sleeptime.blocks}


def test_it_works_after_the_first_run_and_then_after_every_so_many(client, http, pair):
    agent = pair
    http.patch(
        f"/v1/groups/{agent.managed_group.id}",
        json={"manager_config": {"manager_type": "sleeptime", "sleeptime_agent_frequency": 2}},
    ).raise_for_status()
    caused = []
    for number in range(4):
        answer = client.agents.messages.create(agent.id, input=f"This is message number {number}.")
        caused.append(answer.usage.run_ids or [])
    assert [len(ids) for ids in caused] == [1, 0, 1, 0]
    first, second = caused[0][0], caused[2][0]
    assert wait_for_run(client, first) == wait_for_run(client, second) == "completed"
    shown = client.runs.messages.list(second).items[0].content
    assert "You are a sleeptime agent" in shown
    assert "message number 1" in shown
    assert "message number 2" in shown
    assert "message number 0" not in shown


def test_what_the_sleeptime_agent_writes_is_in_the_agents_next_prompt(client, pair):
    agent = pair
    (sleeptime_id,) = agent.managed_group.agent_ids
    client.agents.messages.create(sleeptime_id, input="remember that the user keeps seven cats")
    assert "seven cats" in client.agents.blocks.retrieve("human", agent_id=agent.id).value
    answer = client.agents.messages.create(agent.id, input="hello")
    assert answer.stop_reason.stop_reason == "end_turn"
    system = client.agents.messages.list(agent.id, order="asc", limit=1).items[0]
    assert "seven cats" in system.content


def test_updating_turns_it_on_and_off(client, make_agent):
    agent = make_agent()
    assert agent.managed_group is None
    on = client.agents.update(agent.id, enable_sleeptime=True)
    assert on.enable_sleeptime is True
    assert on.managed_group is not None
    assert client.agents.messages.create(agent.id, input="hello").usage.run_ids
    off = client.agents.update(agent.id, enable_sleeptime=False)
    assert off.enable_sleeptime is False
    assert client.agents.messages.create(agent.id, input="hello again").usage.run_ids is None


def test_deleting_the_agent_deletes_its_sleeptime_agent(client, http, pair):
    agent = pair
    client.agents.delete(agent.id)
    with pytest.raises(NotFoundError):
        client.agents.retrieve(agent.managed_group.agent_ids[0])
    assert http.get(f"/v1/groups/{agent.managed_group.id}").status_code == 404


def test_deleting_the_sleeptime_agent_leaves_the_agent_without_a_group(client, pair):
    agent = pair
    client.agents.delete(agent.managed_group.agent_ids[0])
    left = client.agents.retrieve(agent.id, include=["agent.managed_group"])
    assert left.managed_group is None
    assert left.enable_sleeptime is False


def test_attaching_a_block_gives_it_to_the_sleeptime_agent_too(client, pair):
    agent = pair
    block = client.blocks.create(label="project", value="Build a shed.")
    client.agents.blocks.attach(block.id, agent_id=agent.id)
    sleeptime = client.agents.blocks.list(agent.managed_group.agent_ids[0])
    assert "project" in {each.label for each in sleeptime}


def test_groups_are_listed_counted_and_deleted(client, http, make_agent):
    before = http.get("/v1/groups/count").json()
    agents = [make_agent(enable_sleeptime=True) for _ in range(3)]
    ids = [agent.managed_group.id for agent in agents if agent.managed_group]
    assert http.get("/v1/groups/count").json() == before + 3
    page = http.get("/v1/groups/", params={"limit": 2}).json()
    assert [group["id"] for group in page] == [ids[2], ids[1]]
    rest = http.get("/v1/groups/", params={"limit": 1, "after": ids[1]}).json()
    assert [group["id"] for group in rest] == [ids[0]]
    assert [group["id"] for group in http.get(f"/v1/agents/{agents[0].id}/groups").json()] == [ids[0]]
    assert http.delete(f"/v1/groups/{ids[0]}").status_code == 200
    assert http.get(f"/v1/groups/{ids[0]}").status_code == 404
    assert client.agents.retrieve(agents[0].id).id == agents[0].id


@pytest.mark.parametrize(
    ("frequency", "status"), [(0, 422), (-1, 422), ("often", 422), (10**9, 422), (3, 200)]
)
def test_a_frequency_makes_sense_or_is_refused(http, pair, frequency, status):
    agent = pair
    config = {"manager_type": "sleeptime", "sleeptime_agent_frequency": frequency}
    answer = http.patch(f"/v1/groups/{agent.managed_group.id}", json={"manager_config": config})
    assert answer.status_code == status


def test_groups_of_other_kinds_are_not_made(http):
    answer = http.post("/v1/groups/", json={"agent_ids": [NEVER], "description": "x"})
    assert answer.status_code == 501
    assert "enable_sleeptime" in answer.json()["detail"]
