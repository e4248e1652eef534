"""Searching messages, through the official client and as agents do it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from letta_client import NotFoundError, UnprocessableEntityError

UNKNOWN = "agent-00000000-0000-4000-8000-000000000000"
FUTURE = datetime.now(UTC) + timedelta(days=1)
LEGACY = "/v1/agents/messages/search"


def send(client, agent, content):
    return client.agents.messages.create(agent.id, messages=[{"role": "user", "content": content}])


def found(client, query, **options):
    """What messages say that are found, by the kinds that clients see."""
    return [
        (hit.message_type, hit.reasoning if hit.message_type == "reasoning_message" else hit.content)
        for hit in client.messages.search(query=query, **options)
    ]


@pytest.fixture
def talk(client, make_agent):
    """An agent that was told things."""
    agent = make_agent()
    for text in [
        "The ferret is called Ludmilla.",
        "Ludmilla, the ferret of ferrets, eats pears.",
        "It rains.",
    ]:
        send(client, agent, text)
    return agent


def test_messages_are_found_by_their_words_best_first(client, talk):
    hits = client.messages.search(query="ferret ferrets", agent_id=talk.id)

    users = [hit.content for hit in hits if hit.message_type == "user_message"]
    assert users == ["Ludmilla, the ferret of ferrets, eats pears.", "The ferret is called Ludmilla."]
    assert {hit.agent_id for hit in hits} == {talk.id}
    listed = client.agents.messages.list(talk.id).items
    assert {hit.message_id for hit in hits} <= {message.id for message in listed}
    assert all(hit.created_at.tzinfo for hit in hits)


@pytest.mark.parametrize("mode", ["vector", "fts", "hybrid"])
def test_every_mode_is_answered(client, talk, mode):
    assert found(client, "rains", agent_id=talk.id, search_mode=mode)


def test_all_agents_are_searched_unless_one_is_named(client, make_agent):
    ann, ben = make_agent(), make_agent()
    send(client, ann, "xylograph one")
    send(client, ben, "xylograph two")

    def users(**options):
        return {content for kind, content in found(client, "xylograph", **options) if kind == "user_message"}

    assert users() == {"xylograph one", "xylograph two"}
    assert users(agent_id=ben.id) == {"xylograph two"}
    client.agents.delete(ben.id)
    assert users() == {"xylograph one"}


def test_phrases_stand_in_double_quotes(client, talk):
    assert found(client, '"ferret of"', agent_id=talk.id)
    assert not found(client, '"of ferret"', agent_id=talk.id)


def test_reasoning_is_found_by_itself(client, agent):
    send(client, agent, "think about zeppelins")

    kinds = {kind for kind, text in found(client, "zeppelins", agent_id=agent.id)}
    assert {"user_message", "reasoning_message"} <= kinds


@pytest.mark.parametrize("query", ["???", "AND OR NOT", "a:b^2 (", '"', "*~[x TO y]", "\\", "日本"])
def test_no_query_is_wrong(client, talk, query):
    assert isinstance(found(client, query, agent_id=talk.id), list)


def test_dates_bound_what_is_found(client, talk):
    def count(**dates):
        return len(found(client, "ferret", agent_id=talk.id, **dates))

    today = datetime.now(UTC)
    assert count(start_date=today - timedelta(hours=1), end_date=FUTURE) == count() > 0
    assert count(start_date=FUTURE) == 0
    assert count(end_date=today - timedelta(hours=1)) == 0
    dates = {f"{today:%Y-%m-%d}", f"{datetime.now(UTC):%Y-%m-%d}"}
    assert count(end_date=max(dates)) == count(), "a date is all of its day"


def test_the_limit_is_kept(client, talk):
    assert len(found(client, "ferret", agent_id=talk.id, limit=1)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"query": ""},
        {"query": "  "},
        {"query": "x" * 10_001},
        {"query": "x", "limit": 0},
        {"query": "x", "limit": 101},
        {"query": "x", "start_date": "yesterday"},
        {"query": "x", "end_date": "2026-02-30"},
        {"query": "x", "start_date": "0001-01-01T00:00:00+14:00"},
        {"query": "x", "search_mode": "psychic"},
        {"query": "x", "agent_id": "agent-1"},
    ],
)
def test_bad_searches_are_refused(client, options):
    with pytest.raises(UnprocessableEntityError):
        client.messages.search(**options)


def test_an_unknown_agent_is_not_found(client):
    with pytest.raises(NotFoundError):
        client.messages.search(query="x", agent_id=UNKNOWN)


def test_the_older_search_says_how_well_messages_match(http, talk):
    answer = http.post(LEGACY, json={"query": "pears", "agent_id": talk.id, "roles": ["user"]}).json()

    [hit] = answer
    assert hit["embedded_text"] == "Ludmilla, the ferret of ferrets, eats pears."
    assert hit["message"]["role"] == "user"
    assert hit["message"]["content"] == [{"type": "text", "text": hit["embedded_text"]}]
    assert (hit["fts_rank"], hit["vector_rank"]) == (1, None)
    assert hit["rrf_score"] == pytest.approx(1 / 61, abs=1e-6)


def test_the_older_search_lists_the_newest_without_a_query(http, talk):
    answer = http.post(LEGACY, json={"agent_id": talk.id, "roles": ["user"], "limit": 2}).json()

    assert [hit["message"]["content"][0]["text"] for hit in answer] == [
        "It rains.",
        "Ludmilla, the ferret of ferrets, eats pears.",
    ]
    assert [(hit["fts_rank"], hit["rrf_score"]) for hit in answer] == [(None, 0.0), (None, 0.0)]
    assert http.post(LEGACY, json={"agent_id": talk.id, "roles": ["tool"]}).json() == []


def test_an_agent_searches_its_own_history(client, talk, make_agent):
    other = make_agent()
    send(client, other, "Ludmilla is somebody else's pears.")

    response = send(client, talk, 'Please search our talk for "Ludmilla pears"')

    [returned] = [each for each in response.messages if each.message_type == "tool_return_message"]
    result = json.loads(returned.tool_return)
    best = next(each for each in result["results"] if not each["content"].startswith("Please"))
    assert best["content"] == "Ludmilla, the ferret of ferrets, eats pears."
    assert best["relevance"]["search_mode"] == "fts"
    assert best["relevance"]["fts_rank"] >= 1
    assert "somebody else" not in returned.tool_return
