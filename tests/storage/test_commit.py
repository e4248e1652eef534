"""What the log accepts, what it refuses, and that neighbours do not suffer from it."""

import threading

import duckdb
import pytest

from storage import writer
from storage.commits import Committed, Delta, Entry
from storage.errors import (
    Busy,
    Conflict,
    InvalidArgument,
    NotFound,
    SequenceGap,
    StaleEpoch,
    StoreCorrupt,
    StoreError,
)
from storage.ids import new_id, slot_of
from storage.queries import AgentQuery, MessageQuery
from tests.storage.made import WAIT, Committer, commit, make_message, open_shard


def test_an_agent_is_loaded_as_of_its_last_commit(shard):
    ann = Committer(shard)
    ann.say("hello")
    ann.change(Delta(agent={"name": "anna"}, context=[ann.state.context[0].id]))
    loaded = shard.load(ann.id)
    assert (loaded.seq, loaded.state) == (2, ann.state)
    assert loaded.state.agent.name == "anna"


def test_an_unknown_agent_is_not_found(shard):
    ann = Committer(shard)
    for identifier in (new_id("agent"), "agent-1", ann.id.replace("agent", "block")):
        with pytest.raises(NotFound):
            shard.load(identifier)
    assert [loaded.state.agent.id for loaded in shard.load_many([new_id("agent"), ann.id, "x"])] == [ann.id]


def test_load_many_keeps_the_order_that_is_asked_for(shard):
    ids = [Committer(shard).id for _ in range(5)]
    asked = [ids[3], ids[0], ids[4]]
    assert [loaded.state.agent.id for loaded in shard.load_many(asked)] == asked


def test_an_agent_is_created_once(shard):
    ann = Committer(shard)
    with pytest.raises(Conflict):
        commit(shard, Entry("create", ann.id, 0, 0, ann.state.pack()))
    ann.delete()
    with pytest.raises(Conflict):
        commit(shard, Entry("create", ann.id, 0, 0, ann.state.pack()))


def test_nothing_follows_a_deleted_agent(shard):
    ann = Committer(shard)
    ann.say("hello")
    ann.delete()
    with pytest.raises(NotFound):
        ann.say("are you there?")
    with pytest.raises(NotFound):
        shard.load(ann.id)
    assert shard.find_agents(AgentQuery()) == []
    assert shard.messages(MessageQuery(agent_id=ann.id)) == []


def test_commits_follow_one_another(shard):
    ann = Committer(shard)
    ann.claim()
    for seq in (0, 2, 7):
        with pytest.raises(SequenceGap):
            commit(shard, Entry("step", ann.id, seq, ann.epoch, Delta().pack()))
    with pytest.raises(NotFound):
        commit(shard, Entry("step", new_id("agent"), 0, 0, Delta().pack()))
    assert ann.change(Delta()) == Committed(1, ann.epoch)


def test_a_claim_shuts_out_the_epochs_before_it(shard):
    ann = Committer(shard)
    slots = [slot_of(ann.id)]
    first = shard.claim(slots, "one")
    second = shard.claim(slots, "two")
    assert second > first > 0
    for epoch in (0, first, second + 1):
        with pytest.raises(StaleEpoch):
            commit(shard, Entry("step", ann.id, 1, epoch, Delta().pack()))
    assert commit(shard, Entry("step", ann.id, 1, second, Delta().pack())).epoch == second


def test_the_newer_of_a_slots_and_an_agents_claim_counts(shard):
    ann = Committer(shard)
    slot = shard.claim([slot_of(ann.id)], "host")
    own = shard.claim([ann.id], "dedicated host")
    with pytest.raises(StaleEpoch):
        commit(shard, Entry("step", ann.id, 1, slot, Delta().pack()))
    commit(shard, Entry("step", ann.id, 1, own, Delta().pack()))
    again = shard.claim([slot_of(ann.id)], "host")
    with pytest.raises(StaleEpoch):
        commit(shard, Entry("step", ann.id, 2, own, Delta().pack()))
    commit(shard, Entry("step", ann.id, 2, again, Delta().pack()))


def test_epochs_go_on_after_a_restart(tmp_path):
    shard = open_shard(tmp_path)
    ann = Committer(shard)
    ann.claim()
    shard.close()
    shard = open_shard(tmp_path)
    try:
        assert commit(shard, Entry("step", ann.id, 1, ann.epoch, Delta().pack())).seq == 1
        assert shard.claim([7], "host") > ann.epoch
    finally:
        shard.close()


def test_only_slots_and_agents_can_be_claimed(shard):
    for key in (-1, 4096, "agent-1", new_id("block")):
        with pytest.raises(InvalidArgument):
            shard.claim([key], "host")


def test_a_repeated_commit_is_acknowledged_as_the_first_time(shard):
    ann = Committer(shard)
    first = ann.change(Delta(messages=[make_message(ann.id, content="hello")]), key="k")
    again = Entry("step", ann.id, first.seq, first.epoch, Delta().pack(), key="k")
    assert commit(shard, again) == first
    shard.claim([ann.id], "another host")
    assert commit(shard, again) == first, "the epoch is over, but it was committed under it"
    assert len(shard.messages(MessageQuery(agent_id=ann.id, limit=10))) == 2
    again.key = "another"
    with pytest.raises(StaleEpoch):
        commit(shard, again)


def test_a_repeated_commit_is_known_after_a_restart(tmp_path):
    shard = open_shard(tmp_path)
    ann = Committer(shard)
    done = [ann.change(Delta(), key=f"k{number}") for number in range(20)]
    shard.close()
    shard = open_shard(tmp_path)
    try:
        for number in (19, 18, 10):
            again = Entry("step", ann.id, number + 1, ann.epoch, Delta().pack(), key=f"k{number}")
            assert commit(shard, again) == done[number]
        with pytest.raises(SequenceGap):
            commit(shard, Entry("step", ann.id, 20, ann.epoch, Delta().pack(), key="other"))
    finally:
        shard.close()


def test_the_first_time_and_the_repeat_may_be_in_one_group(shard):
    ann = Committer(shard)
    ann.claim()
    entry = Entry("step", ann.id, 1, ann.epoch, Delta().pack(), key="k")
    following = Entry("step", ann.id, 2, ann.epoch, Delta().pack(), key="l")
    futures = shard.commit([entry, entry, following, entry])
    assert [future.result(WAIT).seq for future in futures] == [1, 1, 2, 1]
    assert shard.load(ann.id).seq == 2


def test_a_bad_entry_in_a_group_fails_alone(shard):
    good, bad, refused = Committer(shard), Committer(shard), Committer(shard)
    for each in (good, bad, refused):
        each.claim()
    futures = shard.commit(
        [
            good.entry("step", Delta().pack()),
            Entry("step", bad.id, 1, bad.epoch, Delta().pack(), key="\udcff"),
            Entry("step", bad.id, 2, bad.epoch, Delta().pack()),
            Entry("step", refused.id, 5, refused.epoch, Delta().pack()),
            Entry("step", good.id, 2, good.epoch, Delta().pack()),
        ]
    )
    errors = [type(future.exception(WAIT)) for future in futures]
    assert errors == [type(None), InvalidArgument, SequenceGap, SequenceGap, type(None)]
    assert [shard.load(each.id).seq for each in (good, bad, refused)] == [2, 0, 0]


def test_an_entry_of_another_shard_is_refused(tmp_path):
    shard = open_shard(tmp_path, shards=2)
    try:
        elsewhere = next(each for each in iter(lambda: new_id("agent"), "") if slot_of(each) % 2)
        with pytest.raises(InvalidArgument, match="does not belong"):
            commit(shard, Entry("create", elsewhere, 0, 0, b""))
        with pytest.raises(InvalidArgument, match="not an id"):
            commit(shard, Entry("create", "agent-7", 0, 0, b""))
    finally:
        shard.close()


def test_an_unreadable_payload_harms_only_its_own_agent(shard):
    ann, bob = Committer(shard), Committer(shard)
    bob.claim()
    commit(shard, bob.entry("step", b"no delta"))
    ann.say("hello")
    assert [message.content for message in shard.messages(MessageQuery(agent_id=ann.id))][-1] == "hello"
    assert shard.load(ann.id).state == ann.state
    with pytest.raises(StoreCorrupt, match=bob.id):
        shard.load(bob.id)
    assert shard.stats()["unreadable_entries"] == 1


def test_the_log_numbers_its_entries_without_gaps(tmp_path):
    shard = open_shard(tmp_path)
    for count in (1, 300, 2, 5):
        futures = shard.commit([Entry("create", new_id("agent"), 0, 0, b"") for _ in range(count)])
        assert all(future.result(WAIT).seq == 0 for future in futures)
    shard.close()
    with duckdb.connect(tmp_path / "0.duckdb") as connection:
        numbers = connection.execute("select lsn from step_log order by lsn").fetchall()
    assert numbers == [(number,) for number in range(1, 309)]


@pytest.fixture
def held(shard, monkeypatch):
    """A shard whose writer waits before each group until the event is set."""
    go = threading.Event()
    waiting = threading.Event()
    prepare = shard._writer._fence.prepare

    def wait(entries):
        waiting.set()
        go.wait(WAIT)
        prepare(entries)

    monkeypatch.setattr(shard._writer._fence, "prepare", wait)
    yield shard, go, waiting
    go.set()


def test_a_full_queue_refuses_what_comes_then(held, monkeypatch):
    shard, go, waiting = held
    monkeypatch.setattr(writer, "QUEUE_ENTRIES", 3)
    claims = [Entry("create", new_id("agent"), 0, 0, b"") for _ in range(6)]
    first = shard.commit(claims[:1])
    assert waiting.wait(WAIT)
    futures = shard.commit(claims[1:])
    assert [type(future.exception(WAIT)) for future in futures[3:]] == [Busy, Busy]
    go.set()
    assert [future.result(WAIT).seq for future in first + futures[:3]] == [0, 0, 0, 0]


def test_bytes_fill_the_queue_too(held, monkeypatch):
    shard, go, waiting = held
    monkeypatch.setattr(writer, "QUEUE_BYTES", 1000)
    shard.commit([Entry("create", new_id("agent"), 0, 0, b"")])
    assert waiting.wait(WAIT)
    big, small = shard.commit([Entry("create", new_id("agent"), 0, 0, bytes(900)) for _ in range(2)])
    assert isinstance(small.exception(WAIT), Busy)
    go.set()
    assert big.result(WAIT).seq == 0


def test_a_cancelled_entry_is_not_committed(held):
    shard, go, waiting = held
    ann, bob = (Entry("create", new_id("agent"), 0, 0, b"") for _ in range(2))
    shard.commit([Entry("create", new_id("agent"), 0, 0, b"")])
    assert waiting.wait(WAIT)
    cancelled, kept = shard.commit([ann, bob])
    assert cancelled.cancel()
    go.set()
    kept.result(WAIT)
    with pytest.raises(NotFound):
        shard.load(ann.stream)


def test_what_is_queued_at_closing_is_still_committed(tmp_path):
    shard = open_shard(tmp_path)
    futures = shard.commit([Entry("create", new_id("agent"), 0, 0, b"") for _ in range(1000)])
    shard.close()
    assert all(future.result(0).seq == 0 for future in futures)
    with pytest.raises(StoreError, match="closed"):
        commit(shard, Entry("create", new_id("agent"), 0, 0, b""))


def test_a_broken_writer_tells_everybody(shard, monkeypatch):
    ann = Committer(shard)
    ann.claim()
    monkeypatch.setattr(shard._writer._states, "committed", lambda *_: 1 / 0)
    futures = shard.commit([ann.entry("step", Delta().pack()), ann.entry("step", Delta().pack())])
    assert any("ZeroDivisionError" in str(future.exception(WAIT)) for future in futures)
    for call in (lambda: ann.say("?"), lambda: shard.claim([1], "x"), lambda: shard.messages(MessageQuery())):
        with pytest.raises(StoreError, match="ZeroDivisionError"):
            call()
