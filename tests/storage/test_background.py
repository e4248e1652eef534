"""Reading while the log is folded and derived behind one's back."""

import threading

from storage import writer
from storage.commits import Delta
from storage.queries import BlockQuery, MessageQuery
from tests.storage.made import WAIT, Committer, make_block, open_shard, until, write_block


def test_an_agent_that_is_folded_while_it_is_loaded(shard, monkeypatch):
    monkeypatch.setattr(writer, "QUIET_SECONDS", 1000)
    ann = Committer(shard)
    with monkeypatch.context() as sooner:
        sooner.setattr(writer, "QUIET_SECONDS", 0)
        until(lambda: not shard._states.unfolded)
    for number in range(5):
        ann.say(f"{number}")
    read = shard._database.rows
    reader = threading.current_thread()

    def fold_and_read(*arguments):
        # The tail is copied by now, the row is not read yet.
        if threading.current_thread() is reader and shard._states.unfolded:
            monkeypatch.setattr(writer, "QUIET_SECONDS", 0)
            until(lambda: not shard._states.unfolded)
        return read(*arguments)

    monkeypatch.setattr(shard._database, "rows", fold_and_read)
    loaded = shard.load(ann.id)
    assert (loaded.seq, loaded.state) == (5, ann.state)
    assert not shard._states.unfolded


def test_a_block_whose_older_version_is_derived_first(shard, monkeypatch):
    monkeypatch.setattr(writer, "DERIVED_AT_ONCE", 2)
    turns = threading.Semaphore(0)
    monkeypatch.setattr(
        shard._writer, "_derive_now", lambda *_: shard._history.pending and turns.acquire(blocking=False)
    )
    block = make_block()
    write_block(shard, block, None)
    for version in range(1, 4):
        block = block.model_copy(update={"version": version, "value": str(version)})
        write_block(shard, block, version - 1)
    for left in (2, 0):
        turns.release()
        until(lambda left=left: shard._history.pending == left)
        assert shard.blocks([block.id]) == [block]
    assert shard.find_blocks(BlockQuery()) == [block]


def test_an_agent_is_folded_when_its_tail_is_long(shard, monkeypatch):
    monkeypatch.setattr(writer, "QUIET_SECONDS", 1000)
    ann, bob = Committer(shard), Committer(shard)
    for number in range(15):
        ann.say(f"{number}")
    until(lambda: shard.stats()["unfolded_agents"] == 1)
    assert shard.load(ann.id).state == ann.state
    assert shard.load(bob.id).state == bob.state


def test_the_oldest_tails_are_folded_when_they_take_too_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "QUIET_SECONDS", 1000)
    shard = open_shard(tmp_path, tail_mb=0)
    agents = [Committer(shard) for _ in range(20)]
    until(lambda: shard.stats()["tail_bytes"] == 0)
    assert [each.state for each in shard.load_many([agent.id for agent in agents])] == [
        agent.state for agent in agents
    ]
    shard.close()


def test_a_listing_waits_for_what_was_acknowledged(shard, monkeypatch):
    """However late the tables would be filled without it."""
    monkeypatch.setattr(writer, "LINGER_SECONDS", 1000)
    ann = Committer(shard)
    for number in range(10):
        message = ann.say(f"{number}")
        assert shard.messages(MessageQuery(agent_id=ann.id, limit=1)) == [message]


def test_the_log_is_moved_into_the_database_while_others_read(tmp_path):
    shard = open_shard(tmp_path, checkpoint_mb=1)
    ann = Committer(shard)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            shard.messages(MessageQuery(words=["hello"]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        padding = "".join(chr(0x4E00 + number * 7 % 20000) for number in range(20_000))
        for number in range(200):
            only = [ann.state.context[0].id]
            ann.change(Delta(agent={"description": f"{number}{padding[number:]}"}, context=only))
        until(lambda: shard.stats()["checkpoints"] > 0)
    finally:
        stop.set()
        for reader in readers:
            reader.join(WAIT)
    assert shard.load(ann.id).state == ann.state
    shard.close()
