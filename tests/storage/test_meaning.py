"""Search in histories by meaning: vectors that are derived, filtered, replaced, and go with their agents."""

from array import array
from datetime import UTC, datetime, timedelta

import pytest

from storage.commits import Delta
from storage.ids import new_id
from storage.queries import Hit, MessageSearch, MessageVector, fused
from storage.records import ToolCall
from tests.storage.made import Committer, make_message, open_shard, until

DAY = datetime(2026, 5, 1, tzinfo=UTC)
NORTH, EAST, NORTH_EAST = (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)
MODEL = {"handle": "p/small"}


def vector(*numbers):
    return array("f", numbers).tobytes()


def missing(shard, model="p/small", default=None, after=-1, limit=1000):
    shard.search_messages(MessageSearch())  # It waits until the tables have everything.
    return shard.unembedded(model, default, after, limit)


def embed(shard, vectors, model="p/small", **options):
    """Give messages vectors by their texts; answers the texts."""
    _, messages = missing(shard, model, **options)
    made = [MessageVector(each.message_id, vector(*vectors[each.text])) for each in messages]
    shard.write_message_vectors(model, made)
    return [each.text for each in messages]


def near(shard, *numbers, model="p/small", **options):
    search = MessageSearch(query="x", model=model, vector=vector(*numbers), **options)
    return [hit.message.content for hit in shard.search_messages(search)]


@pytest.fixture
def ann(shard):
    return Committer(shard, embedding_config=MODEL)


TEXTS = {"north": NORTH, "east": EAST, "north-east": NORTH_EAST}


@pytest.mark.parametrize("whose", ["one agent's", "everybody's"])
def test_the_nearest_come_first(shard, ann, whose):
    for text in TEXTS:
        ann.say(text)
    embed(shard, TEXTS)
    agent = {"agent_id": ann.id} if whose == "one agent's" else {}

    assert near(shard, 0.1, 2.0, **agent) == ["east", "north-east", "north"]
    assert near(shard, 0.1, 2.0, limit=1, **agent) == ["east"]
    search = MessageSearch(query="x", model="p/small", vector=vector(0, 3), **agent)
    hits = shard.search_messages(search)
    assert [(hit.rank, hit.vector_rank, hit.mode) for hit in hits] == [(0, n, "vector") for n in (1, 2, 3)]
    assert [round(hit.score, 3) for hit in hits] == [1, 0.707, 0]
    ann.say("north")
    embed(shard, TEXTS)
    assert near(shard, *NORTH, **agent)[:2] == ["north", "north"], "what came later is found, too"


@pytest.mark.parametrize("whose", ["one agent's", "everybody's"])
def test_roles_and_dates(shard, ann, whose):
    ann.say("north", created_at=DAY)
    ann.say("east", role="assistant", created_at=DAY + timedelta(days=1))
    ann.say("north-east", created_at=DAY + timedelta(days=2))
    embed(shard, TEXTS)
    agent = {"agent_id": ann.id} if whose == "one agent's" else {}

    assert near(shard, *NORTH, roles=["user"], **agent) == ["north", "north-east"]
    assert near(shard, *NORTH, roles=["assistant", "reasoning"], **agent) == ["east"]
    assert near(shard, *NORTH, roles=["reasoning"], **agent) == []
    assert near(shard, *NORTH, start=DAY + timedelta(days=1), **agent) == ["north-east", "east"]
    assert near(shard, *NORTH, end=DAY + timedelta(days=1), **agent) == ["north", "east"]


def test_only_what_lacks_a_vector_is_asked_for(shard, ann):
    Committer(shard).say("of an agent without a model")
    call = ToolCall(id="1", name="send_message", arguments='{"message": "spoken"}')
    ann.change(
        Delta(
            messages=[
                make_message(ann.id, content="thinking", role="assistant", tool_calls=[call]),
                make_message(ann.id, content="quoted by a tool", role="tool"),
                make_message(ann.id, content=None, role="assistant"),
            ]
        )
    )

    complete, messages = missing(shard)
    assert [each.text for each in messages] == ["thinking\nspoken", ""]
    shard.write_message_vectors("p/small", [MessageVector(each.message_id, None) for each in messages])
    assert missing(shard)[1] == [], "nothing to embed is not asked for again"
    assert missing(shard, after=complete) == (complete, [])
    assert near(shard, *NORTH) == []
    [other] = missing(shard, "p/default", default="p/default")[1]
    assert other.text == "of an agent without a model"
    assert shard.embedding_models(None) == {"p/small": 1}
    assert shard.embedding_models("p/default") == {"p/small": 1, "p/default": 1}


def test_batches_neither_skip_nor_repeat(shard, ann):
    texts = [f"{number}" for number in range(25)]
    ann.change(Delta(messages=[make_message(ann.id, content=text) for text in texts[:10]]))
    for text in texts[10:]:
        ann.say(text)

    after, done = -1, []
    while len(done) < len(texts):
        after, messages = missing(shard, after=after, limit=4)
        done += [each.text for each in messages]
        made = [MessageVector(each.message_id, vector(*NORTH)) for each in messages]
        shard.write_message_vectors("p/small", made)
        shard.write_message_vectors("p/small", made)
    assert done == texts
    assert sorted(near(shard, *NORTH, agent_id=ann.id)) == sorted(near(shard, *NORTH)) == sorted(texts)


def test_another_model_replaces_the_vectors(shard, ann):
    for text in ("north", "east"):
        ann.say(text)
    embed(shard, TEXTS)
    assert near(shard, *NORTH, agent_id=ann.id) == ["north", "east"]
    after, _ = missing(shard)
    ann.change(Delta(agent={"embedding_config": {"handle": "p/large"}}))

    assert near(shard, *NORTH, 0.0, model="p/large", agent_id=ann.id) == []
    wide = {"north": (0.0, 0.0, 1.0), "east": (0.0, 1.0, 0.0)}
    assert embed(shard, wide, "p/large", after=after) == ["north", "east"], "also what came before"
    for agent in ({"agent_id": ann.id}, {}):
        assert near(shard, 0.0, 0.0, 1.0, model="p/large", **agent) == ["north", "east"]
        assert near(shard, *NORTH, model="p/large", **agent) == [], "a vector of another size"
        assert near(shard, *NORTH, **agent) == []
    ann.change(Delta(agent={"embedding_config": MODEL}))
    embed(shard, TEXTS)
    assert near(shard, *NORTH, agent_id=ann.id) == ["north", "east"]


def test_vectors_go_with_their_agent(shard, ann):
    ann.say("north")
    _, messages = missing(shard)
    late = [MessageVector(each.message_id, vector(*NORTH)) for each in messages]
    embed(shard, TEXTS)
    assert near(shard, *NORTH, agent_id=ann.id) == ["north"]
    ann.delete()

    shard.search_messages(MessageSearch())
    shard.write_message_vectors("p/small", late)
    assert near(shard, *NORTH) == near(shard, *NORTH, agent_id=ann.id) == []
    until(lambda: shard.stats()["vector_bytes"] == 0)


def test_vectors_survive_a_restart(tmp_path):
    shard = open_shard(tmp_path)
    ann = Committer(shard, embedding_config=MODEL)
    ann.say("north")
    embed(shard, TEXTS)
    ann.say("east")
    shard.close()

    shard = ann.shard = open_shard(tmp_path)
    assert embed(shard, TEXTS) == ["east"]
    assert near(shard, *NORTH, agent_id=ann.id) == ["north", "east"]
    shard.close()


def hit(text, **fields):
    message = make_message(new_id("agent"), content=text)
    return Hit(message, "agent-1", "user", 1.0, **fields)


def test_two_orders_become_one():
    both, word, sense = hit("both", rank=2), hit("word", rank=1), hit("sense", vector_rank=2)
    meaning = [Hit(both.message, both.agent_id, "user", 0.9, vector_rank=1), sense]

    best = fused([word, both], meaning, 3)
    assert [each.message.content for each in best] == ["both", "word", "sense"]
    assert [(each.rank, each.vector_rank) for each in best] == [(2, 1), (1, 0), (0, 2)]
    assert best[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert {each.mode for each in best} == {"hybrid"}
    assert len(fused([word, both], meaning, 1)) == 1
