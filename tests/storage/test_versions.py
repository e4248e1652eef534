"""Versions of blocks: each one stays readable, whatever happens to the block or to the store."""

import duckdb
import pytest

from storage import migrations, sql
from storage.commits import BlockWrite, Delta
from storage.ids import new_id
from storage.queries import BlockQuery, VersionQuery
from storage.records import Block
from storage.shard import Shard
from tests.storage.made import Committer, make_block, open_shard, write_block


def written(shard: Shard, count: int, **fields) -> list[Block]:
    """Versions of one block, each committed on its own."""
    versions = [make_block(value="0", **fields)]
    write_block(shard, versions[0], None)
    while len(versions) < count:
        number = len(versions)
        changes = {"version": number, "value": f"{number}", "changed_by": {"step_id": f"step-{number}"}}
        versions.append(versions[-1].model_copy(update=changes))
        write_block(shard, versions[-1], number - 1)
    return versions


def test_every_version_can_be_read(shard):
    versions = written(shard, 5)
    written(shard, 3)
    assert shard.block_versions(VersionQuery(block_id=versions[0].id)) == versions[::-1]
    assert shard.block_versions(VersionQuery(block_id=versions[0].id, descending=False)) == versions


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"above": 2}, [4, 3]),
        ({"below": 2}, [1, 0]),
        ({"above": 0, "below": 4, "descending": False}, [1, 2, 3]),
        ({"limit": 2}, [4, 3]),
        ({"limit": 2, "descending": False}, [0, 1]),
        ({"above": 4}, []),
    ],
)
def test_versions_are_listed_by_number(shard, where, found):
    block_id = written(shard, 5)[0].id
    versions = shard.block_versions(VersionQuery(block_id=block_id, **where))
    assert [version.version for version in versions] == found


def test_versions_are_read_right_after_they_were_acknowledged(shard):
    block = make_block()
    ann = Committer(shard, blocks=[block])
    shard.count_blocks(BlockQuery())
    second = block.model_copy(update={"version": 1, "value": "a"})
    third = second.model_copy(update={"version": 2, "value": "ab"})
    ann.change(Delta(), [BlockWrite(second, 0), BlockWrite(third, 1)])
    assert shard.block_versions(VersionQuery(block_id=block.id)) == [third, second, block]


def test_a_block_that_never_was_has_no_versions(shard):
    for block_id in (new_id("block"), "block-1", ""):
        assert shard.block_versions(VersionQuery(block_id=block_id)) == []


def test_versions_survive_their_agent_and_a_restart(tmp_path):
    shard = open_shard(tmp_path)
    block = make_block(value="mine")
    ann = Committer(shard, blocks=[block])
    ann.delete()
    later = written(shard, 3)
    shard.close()
    shard = open_shard(tmp_path)
    try:
        assert shard.block_versions(VersionQuery(block_id=block.id)) == [block]
        assert shard.block_versions(VersionQuery(block_id=later[0].id)) == later[::-1]
    finally:
        shard.close()


def test_a_store_from_before_gets_its_versions_from_the_log(tmp_path, monkeypatch):
    shard = open_shard(tmp_path)
    versions = written(shard, 1_200)
    ann = Committer(shard, blocks=[make_block()])
    ann.say("an entry without blocks")
    shard.count_blocks(BlockQuery())
    shard.close()
    with duckdb.connect(str(tmp_path / "0.duckdb")) as connection:
        connection.execute("drop table block_version")
        connection.execute("update meta set value = 1 where name = 'schema_version'")
    monkeypatch.setattr(migrations, "migrations", lambda: sql.migrations()[:2])

    shard = open_shard(tmp_path)
    try:
        found = shard.block_versions(VersionQuery(block_id=versions[0].id, limit=1000))
        assert found == versions[:-1001:-1]
        rest = shard.block_versions(VersionQuery(block_id=versions[0].id, below=200, limit=1000))
        assert rest == versions[199::-1]
    finally:
        shard.close()


def test_messages_by_id_are_those_of_one_agent(shard):
    ann, bob = Committer(shard), Committer(shard)
    mine = [ann.say("one"), ann.say("two")]
    other = bob.say("three")
    found = shard.messages_of(ann.id, [mine[1].id, other.id, new_id("message"), mine[0].id, "message-1"])
    assert sorted(found, key=lambda message: message.ordinal) == ann.state.context[1:]
    assert shard.messages_of(ann.id, []) == []
    assert shard.message_agent(other.id) == bob.id
