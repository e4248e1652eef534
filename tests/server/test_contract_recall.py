"""Searching messages by meaning, and by words and meaning at once, through the official client."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from letta_client import APIStatusError, Letta

from actors.models.scripted import embed
from tests.running import running

IN_PROCESS = "greenroom/scripted"
OVER_HTTP = "openai/scripted"
LEGACY = "/v1/agents/messages/search"
WAIT = 60


def synonym(word):
    """Another word that the scripted embedding model takes for the same."""
    return next(each for each in map("word{}".format, count()) if embed(each) == embed(word))


def send(client, agent, content):
    return client.agents.messages.create(agent.id, messages=[{"role": "user", "content": content}])


def users(client, query, **options):
    """What users said, as it is found."""
    hits = client.messages.search(query=query, **options)
    return [hit.content for hit in hits if hit.message_type == "user_message"]


def wait_until_embedded(client, agent, text):
    deadline = time.monotonic() + WAIT
    while text not in users(client, text, agent_id=agent.id, search_mode="vector"):
        assert time.monotonic() < deadline, "it was never embedded"
        time.sleep(0.05)


TALK = ["Ludmilla is a ferret", "Rain all day", "A pear for breakfast"]


@pytest.fixture(params=[IN_PROCESS, OVER_HTTP])
def talk(request, client, make_agent):
    """An agent with an embedding model that was told things, all of them embedded."""
    agent = make_agent(embedding=request.param)
    for text in TALK:
        send(client, agent, text)
    wait_until_embedded(client, agent, TALK[-1])
    return agent


def test_meaning_finds_what_words_do_not(client, talk):
    query = synonym("ludmilla") + " " + synonym("ferret")

    assert users(client, query, agent_id=talk.id, search_mode="fts") == []
    for mode in ("vector", "hybrid"):
        assert users(client, query, agent_id=talk.id, search_mode=mode)[0] == "Ludmilla is a ferret"
    assert users(client, query, agent_id=talk.id)[0] == "Ludmilla is a ferret", "hybrid is the default"
    assert users(client, query, search_mode="vector"), "in all histories"


def test_the_limit_dates_and_reasoning(client, talk):
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    def found(**options):
        return client.messages.search(query="ferret", agent_id=talk.id, search_mode="vector", **options)

    assert len(found(limit=1)) == 1
    assert found(end_date=tomorrow)
    assert found(start_date=tomorrow) == []
    assert {hit.message_type for hit in found()} == {"user_message", "assistant_message"}


def test_the_older_search_tells_both_ranks(http, talk):
    query = {"agent_id": talk.id, "roles": ["user"], "query": "ferret " + synonym("pear")}

    def ranks(mode):
        hits = http.post(LEGACY, json={**query, "search_mode": mode}).json()
        return {
            hit["embedded_text"]: (hit["fts_rank"], hit["vector_rank"] is not None, hit["rrf_score"])
            for hit in hits
        }

    assert ranks("fts") == {TALK[0]: (1, False, pytest.approx(1 / 61, abs=1e-6))}
    assert {rank for rank, near, _ in ranks("vector").values() if near} == {None}
    hybrid = ranks("hybrid")
    assert next(iter(hybrid)) == TALK[0]
    assert hybrid[TALK[0]][:2] == (1, True)
    assert hybrid[TALK[2]][:2] == (None, True)
    assert hybrid[TALK[0]][2] > hybrid[TALK[2]][2] > 0


def test_an_agent_finds_by_meaning(client, talk):
    query = json.dumps({"query": synonym("ferret"), "roles": ["user"]})
    answer = send(client, talk, f"call conversation_search {query}")

    [returned] = [each for each in answer.messages if each.message_type == "tool_return_message"]
    best = json.loads(returned.tool_return)["results"]
    found = next(each for each in best if each["content"] == "Ludmilla is a ferret")
    assert found["relevance"]["search_mode"] == "hybrid"
    assert found["relevance"]["fts_rank"] is None
    assert found["relevance"]["vector_rank"] >= 1
    assert found["relevance"]["rrf_score"] > 0


def test_without_a_model_words_are_all_there_is(client, http, make_agent):
    agent = make_agent()
    send(client, agent, "Ludmilla is a ferret")

    for mode in ("vector", "hybrid"):
        assert users(client, "ferret", agent_id=agent.id, search_mode=mode) == ["Ludmilla is a ferret"]
        assert users(client, synonym("ferret"), agent_id=agent.id, search_mode=mode) == []


def test_another_model_embeds_everything_anew(client, make_agent):
    agent = make_agent(embedding=IN_PROCESS)
    send(client, agent, "Ludmilla is a ferret")
    wait_until_embedded(client, agent, "Ludmilla is a ferret")

    client.agents.update(agent.id, embedding=OVER_HTTP)
    wait_until_embedded(client, agent, "Ludmilla is a ferret")


def test_an_endpoint_that_fails_is_tried_again(client, make_agent):
    agent = make_agent(embedding=OVER_HTTP)
    text = "fault: 500 2 and a walrus"
    send(client, agent, text)

    assert users(client, "walrus", agent_id=agent.id) == [text], "words are found meanwhile"
    deadline = time.monotonic() + WAIT
    while text not in users(client, "walrus", agent_id=agent.id, search_mode="vector"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_text_that_the_model_refuses_holds_up_no_other(client, make_agent):
    agent = make_agent(embedding=OVER_HTTP)
    send(client, agent, "fault: 400 for this walrus")
    send(client, agent, "another walrus")

    wait_until_embedded(client, agent, "another walrus")
    assert users(client, "walrus", agent_id=agent.id, search_mode="vector") == ["another walrus"]
    assert set(users(client, "walrus", agent_id=agent.id)) == {"another walrus", "fault: 400 for this walrus"}


def test_when_the_query_cannot_be_embedded(client, make_agent):
    agent = make_agent(embedding=OVER_HTTP)
    send(client, agent, "a walrus")

    query = "fault: 500 walrus"
    assert users(client, query, agent_id=agent.id) == ["a walrus"]
    with pytest.raises(APIStatusError) as failed:
        client.messages.search(query=query, agent_id=agent.id, search_mode="vector")
    assert failed.value.status_code >= 500


def test_a_default_model_is_for_all_agents_also_those_there_are(tmp_path):
    options = ["serve", "--data", str(tmp_path / "data"), "--port", "0", "--shards", "2", "--hosts", "1"]
    with (
        running(*options, log=tmp_path / "log") as server,
        Letta(base_url=server.url, max_retries=0, _strict_response_validation=True) as client,
    ):
        agent = client.agents.create(model="greenroom/scripted")
        send(client, agent, "Ludmilla is a ferret")
        assert users(client, synonym("ferret")) == []
    options += ["--default-embedding", IN_PROCESS]
    for _ in range(2):
        with (
            running(*options, log=tmp_path / "log") as server,
            Letta(base_url=server.url, max_retries=0, _strict_response_validation=True) as client,
        ):
            wait_until_embedded(client, agent, "Ludmilla is a ferret")
            assert users(client, synonym("ferret")) == ["Ludmilla is a ferret"]
