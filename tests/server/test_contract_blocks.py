"""Blocks, alone and in the core memory of agents."""

from contextlib import suppress

import pytest
from letta_client import ConflictError, NotFoundError

UNKNOWN = "block-00000000-0000-4000-8000-000000000000"


def ids(page):
    return [item.id for item in page]


@pytest.fixture
def make_block(client):
    created = []

    def make(**fields):
        block = client.blocks.create(**{"label": "plan", "value": "Build.", **fields})
        created.append(block.id)
        return block

    yield make
    for block_id in created:
        with suppress(NotFoundError):
            client.blocks.delete(block_id)


def test_a_new_block_has_the_documented_defaults(client, make_block):
    block = make_block()

    assert (block.label, block.value, block.limit) == ("plan", "Build.", 100_000)
    assert (block.read_only, block.is_template, block.hidden) == (False, False, None)
    assert (block.tags, block.metadata, block.description) == ([], {}, None)
    assert client.blocks.retrieve(block.id) == block


def test_a_block_keeps_what_it_is_given(client, make_block):
    fields = {"limit": 10, "description": "d", "read_only": True, "metadata": {"a": [1]}, "tags": ["t"]}
    fields |= {"template_name": "n", "is_template": True, "hidden": True, "project_id": "p"}

    block = client.blocks.retrieve(make_block(value="longer than ten characters", **fields).id)

    assert {name: getattr(block, name) for name in fields} == fields
    assert block.value == "longer than ten characters"


def test_an_update_changes_what_it_names(client, http, make_block):
    block = make_block(tags=["a"], description="kept")

    changed = client.blocks.update(block.id, value="Rest.", label="rest", tags=["b"], read_only=True)
    assert (changed.value, changed.label, changed.tags, changed.read_only) == ("Rest.", "rest", ["b"], True)

    http.patch(f"/v1/blocks/{block.id}", json={"description": None, "tags": []})
    block = client.blocks.retrieve(block.id)
    assert (block.value, block.description, block.tags) == ("Rest.", "kept", [])


def test_a_deleted_block_is_gone_from_its_agents_too(client, http, make_agent, make_block):
    block = make_block()
    agent = make_agent(block_ids=[block.id])

    assert http.delete(f"/v1/blocks/{block.id}").json() is None

    for gone in (
        lambda: client.blocks.retrieve(block.id),
        lambda: client.blocks.update(block.id, value="x"),
        lambda: client.blocks.delete(block.id),
    ):
        with pytest.raises(NotFoundError):
            gone()
    assert "plan" not in [each.label for each in client.agents.blocks.list(agent.id)]


def test_blocks_are_listed_by_what_they_are(client, make_block):
    first = make_block(label="alpha", value="lorem", description="one thing", tags=["test-blocks", "x"])
    second = make_block(label="alphabet", value="ipsum", tags=["test-blocks"], project_id="p-list")
    template = make_block(label="gamma", tags=["test-blocks"], is_template=True, template_name="boss")
    hidden = make_block(label="alpha", tags=["test-blocks"], hidden=True)

    def listed(**filters):
        return ids(client.blocks.list(**{"tags": ["test-blocks"], **filters}))

    assert listed() == [first.id, second.id, template.id]
    assert listed(order="desc") == [template.id, second.id, first.id]
    assert listed(label="alpha") == [first.id]
    assert listed(label_search="ALPHA") == [first.id, second.id]
    assert listed(value_search="psu") == [second.id]
    assert listed(description_search="thing") == [first.id]
    assert listed(templates_only=True) == [template.id]
    assert listed(name="boss") == [template.id]
    assert listed(project_id="p-list") == [second.id]
    assert listed(tags=["x", "test-blocks"]) == [first.id, second.id, template.id]
    assert listed(tags=["x", "test-blocks"], match_all_tags=True) == [first.id]
    assert hidden.id not in listed(limit=1000)


def test_hidden_blocks_are_listed_on_demand(http, make_block):
    hidden = make_block(hidden=True, tags=["test-hidden"])

    found = http.get("/v1/blocks", params={"tags": "test-hidden", "show_hidden_blocks": "true"}).json()

    assert [each["id"] for each in found] == [hidden.id]


def test_blocks_are_listed_in_pages(client, make_block):
    blocks = ids(make_block(tags=["test-block-pages"]) for _ in range(3))

    def listed(**filters):
        return ids(client.blocks.list(tags=["test-block-pages"], **filters).items)

    assert listed(limit=2) == blocks[:2]
    assert listed(limit=2, after=blocks[1]) == blocks[2:]
    assert listed(limit=1, before=blocks[2]) == [blocks[1]]
    assert listed(limit=1, after=blocks[2], order="desc") == [blocks[1]]
    assert ids(client.blocks.list(tags=["test-block-pages"], limit=1)) == blocks


def test_blocks_are_listed_by_how_many_agents_have_them(client, make_agent, make_block):
    none, one, two = (make_block(label=label, tags=["test-connected"]) for label in ("n", "o", "t"))
    agents = [make_agent(block_ids=[one.id, two.id]), make_agent(block_ids=[two.id])]

    def listed(**filters):
        return ids(client.blocks.list(tags=["test-connected"], **filters))

    assert listed(connected_to_agents_count_eq=[0, 2]) == [none.id, two.id]
    assert listed(connected_to_agents_count_gt=0) == [one.id, two.id]
    assert listed(connected_to_agents_count_lt=2) == [none.id, one.id]
    assert ids(client.blocks.agents.list(two.id, order="asc")) == ids(agents)
    assert ids(client.blocks.agents.list(one.id)) == ids(agents[:1])
    assert ids(client.blocks.agents.list(none.id)) == []
    [agent] = client.blocks.agents.list(one.id, include=["agent.tags", "agent.blocks"]).items
    assert {block.label for block in agent.blocks} == {"human", "persona", "o", "t"}


def test_unknown_blocks_are_404(client):
    for unknown in (
        lambda: client.blocks.retrieve(UNKNOWN),
        lambda: client.blocks.update(UNKNOWN, value="x"),
        lambda: client.blocks.delete(UNKNOWN),
        lambda: client.blocks.agents.list(UNKNOWN),
        lambda: client.blocks.list(after=UNKNOWN),
        lambda: client.blocks.list(before="garbage"),
    ):
        with pytest.raises(NotFoundError):
            unknown()


def test_blocks_are_counted(http, make_block):
    before = http.get("/v1/blocks/count").json()
    make_block(hidden=True)

    assert http.get("/v1/blocks/count").json() == before + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": None},
        {"label": ""},
        {"label": "x" * 501},
        {"value": None},
        {"value": 7},
        {"limit": 0},
        {"tags": "x"},
        {"metadata": []},
        {"label": "nul\0"},
        {"metadata": {"nul\0": 1}},
    ],
)
def test_malformed_blocks_are_refused(http, wrong):
    response = http.post("/v1/blocks", json={"label": "x", "value": "y", **wrong})

    assert response.status_code == 422, response.text


def test_lists_cannot_be_made_by_identity(http):
    assert http.get("/v1/blocks", params={"identity_id": "identity-1"}).status_code == 501
    assert http.get("/v1/agents", params={"identifier_keys": "x"}).status_code == 501


def test_core_memory_is_the_agents_blocks(client, http, agent):
    memory = http.get(f"/v1/agents/{agent.id}/core-memory").json()
    listed = client.agents.blocks.list(agent.id, order="asc").items

    assert [block["id"] for block in memory["blocks"]] == ids(agent.blocks) == ids(listed)
    assert ids(client.agents.blocks.list(agent.id)) == ids(agent.blocks)[::-1]
    assert ids(client.agents.blocks.list(agent.id, limit=1)) == ids(agent.blocks)[::-1]
    assert client.agents.blocks.retrieve("persona", agent_id=agent.id) == listed[1]


def test_a_block_is_changed_by_its_label(client, agent):
    changed = client.agents.blocks.update("human", agent_id=agent.id, value="New.", label="person")

    assert (changed.value, changed.label) == ("New.", "person")
    assert client.agents.blocks.retrieve("person", agent_id=agent.id) == changed
    with pytest.raises(NotFoundError, match=f"No block with label 'human' found for agent '{agent.id}'"):
        client.agents.blocks.update("human", agent_id=agent.id, value="x")
    with pytest.raises(ConflictError):
        client.agents.blocks.update("person", agent_id=agent.id, label="persona")


def test_a_changed_block_is_in_the_next_prompt(client, agent):
    client.agents.messages.create(agent.id, messages=[{"role": "user", "content": "hi"}])

    client.agents.blocks.update("human", agent_id=agent.id, value="The user's name is Wanda.")

    answer = client.agents.messages.create(
        agent.id, messages=[{"role": "user", "content": "what is my name?"}]
    )
    assert "Wanda" in answer.messages[-1].content
    assert "Wanda" in client.agents.messages.list(agent.id).items[0].content


def test_blocks_are_attached_and_detached(client, agent, make_block):
    block = make_block()

    for _ in range(2):
        attached = client.agents.blocks.attach(block.id, agent_id=agent.id)
        assert [each.label for each in attached.blocks] == ["human", "persona", "plan"]

    detached = client.agents.blocks.detach(block.id, agent_id=agent.id)
    assert [each.label for each in detached.blocks] == ["human", "persona"]
    with pytest.raises(NotFoundError):
        client.agents.blocks.detach(block.id, agent_id=agent.id)
    assert client.blocks.retrieve(block.id) == block


def test_a_second_block_with_a_label_is_a_conflict(client, agent, make_block):
    twin = make_block(label="human")

    with pytest.raises(ConflictError):
        client.agents.blocks.attach(twin.id, agent_id=agent.id)
    with pytest.raises(NotFoundError):
        client.agents.blocks.attach(UNKNOWN, agent_id=agent.id)


def test_deleting_an_agent_keeps_shared_blocks(client, make_agent, make_block):
    block = make_block()
    agent = make_agent(block_ids=[block.id])

    client.agents.delete(agent.id)

    assert client.blocks.retrieve(block.id) == block
