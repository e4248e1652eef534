"""Blocks: compare-and-set, together with what caused the write, and their current versions."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.commits import BlockWrite, Delta, Entry
from storage.errors import InvalidArgument, StaleBlock
from storage.ids import new_id
from storage.queries import BlockQuery
from storage.records import Block
from tests.storage.made import WAIT, Committer, commit, make_block, make_message, open_shard, write_block


def changed(block: Block, **fields) -> Block:
    return block.model_copy(update={"version": block.version + 1} | fields)


def test_an_agent_comes_with_its_blocks_in_their_order(shard):
    blocks = [make_block(label=label) for label in ("persona", "human", "mood")]
    ann = Committer(shard, blocks=blocks)
    assert shard.load(ann.id).blocks == blocks
    shard.count_blocks(BlockQuery())  # now they are in their table
    assert shard.load(ann.id).blocks == blocks
    newer = changed(blocks[1], value="likes tea")
    write_block(shard, newer, 0)
    assert shard.load(ann.id).blocks == [blocks[0], newer, blocks[2]]


def test_current_versions_in_the_order_asked_for(shard):
    first, second, gone = (make_block() for _ in range(3))
    for block in (first, second, gone):
        write_block(shard, block, None)
    newer = changed(first, value="new")
    write_block(shard, newer, 0)
    write_block(shard, changed(gone, deleted=True), 0)
    asked = [second.id, gone.id, new_id("block"), "block-1", first.id]
    assert shard.blocks(asked) == [second, newer]
    shard.count_blocks(BlockQuery())
    assert shard.blocks(asked) == [second, newer]
    assert shard.find_blocks(BlockQuery()) == [newer, second]


def test_a_write_based_on_an_old_version_changes_nothing(shard):
    block = make_block()
    ann = Committer(shard, blocks=[block])
    write_block(shard, changed(block, value="theirs"), 0)
    other = make_block()
    with pytest.raises(StaleBlock):
        ann.change(
            Delta(messages=[make_message(ann.id, content="lost")]),
            [BlockWrite(other, None), BlockWrite(changed(block, value="mine"), 0)],
        )
    loaded = shard.load(ann.id)
    assert (loaded.seq, loaded.blocks[0].value, shard.blocks([other.id])) == (0, "theirs", [])


@pytest.mark.parametrize("based_on", [None, 0, 2])
def test_versions_are_compared_in_any_case(shard, based_on):
    block = make_block()
    write_block(shard, block, None)
    block = changed(block)
    write_block(shard, block, 0)
    with pytest.raises(StaleBlock):
        write_block(shard, changed(block), based_on)
    write_block(shard, changed(block), 1)


def test_nothing_follows_a_deleted_block(shard):
    block = make_block()
    write_block(shard, block, None)
    gone = changed(block, deleted=True)
    write_block(shard, gone, 0)
    for based_on in (None, 0, 1):
        with pytest.raises(StaleBlock):
            write_block(shard, changed(gone, deleted=False), based_on)


def test_the_new_version_is_the_one_that_follows(shard):
    with pytest.raises(InvalidArgument):
        write_block(shard, make_block(version=1), None)
    block = make_block()
    write_block(shard, block, None)
    with pytest.raises(InvalidArgument):
        write_block(shard, changed(block, version=7), 0)


def test_one_entry_may_write_a_block_twice(shard):
    block = make_block()
    ann = Committer(shard, blocks=[block])
    second = changed(block, value="a")
    third = changed(second, value="ab")
    ann.change(Delta(), [BlockWrite(second, 0), BlockWrite(third, 1)])
    assert shard.load(ann.id).blocks == [third]


def test_a_repeated_block_write_is_acknowledged_again(shard):
    block = make_block()
    write_block(shard, block, None)
    write_block(shard, block, None)
    newer = changed(block, value="new")
    for _ in range(3):
        write_block(shard, newer, 0)
    with pytest.raises(StaleBlock):
        write_block(shard, changed(block, value="other"), 0)
    assert shard.blocks([block.id]) == [newer]


def test_no_update_is_lost_when_many_write(shard):
    """Four writers append their marks, each reading again when it was too late."""
    block = make_block()
    write_block(shard, block, None)

    def append(mark: str) -> None:
        for number in range(25):
            while True:
                [current] = shard.blocks([block.id])
                try:
                    write_block(
                        shard, changed(current, value=f"{current.value}{mark}{number} "), current.version
                    )
                except StaleBlock:
                    continue
                break

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(append, mark) for mark in "abcd"]:
            done.result(WAIT)
    [final] = shard.blocks([block.id])
    assert final.version == 100
    for mark in "abcd":
        marks = [word for word in final.value.split() if word[0] == mark]
        assert marks == [f"{mark}{number}" for number in range(25)]


def test_in_one_group_the_first_of_two_writers_wins(shard):
    block = make_block()
    write_block(shard, block, None)
    entries = [
        Entry("blocks", block.id, 0, 0, blocks=[BlockWrite(changed(block, value=value), 0)]) for value in "ab"
    ]
    first, second = shard.commit(entries)
    first.result(WAIT)
    assert isinstance(second.exception(WAIT), StaleBlock)
    assert shard.blocks([block.id])[0].value == "a"


def test_blocks_survive_a_restart_before_and_after_they_are_derived(tmp_path):
    kept, late = make_block(value="kept"), make_block(value="late")
    shard = open_shard(tmp_path)
    write_block(shard, kept, None)
    shard.count_blocks(BlockQuery())
    write_block(shard, late, None)
    shard.close()
    shard = open_shard(tmp_path)
    try:
        assert shard.blocks([late.id, kept.id]) == [late, kept]
        write_block(shard, changed(late), 0)
        with pytest.raises(StaleBlock):
            write_block(shard, changed(kept), None)
    finally:
        shard.close()


def test_commits_of_blocks_know_no_epoch(shard):
    block = make_block()
    shard.claim(list(range(4096)), "host")
    assert commit(shard, Entry("blocks", block.id, 9, 0, blocks=[BlockWrite(block, None)])).epoch == 0
