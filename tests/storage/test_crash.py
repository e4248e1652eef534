"""Killed processes, full disks and damaged files."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import defaultdict, deque
from pathlib import Path

import duckdb
import pytest

from storage.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked, StoreTooNew
from storage.queries import AgentQuery, DocumentQuery, MessageQuery, PassageQuery, PassageSearch, StepQuery
from storage.shard import Shard
from tests.storage.made import Committer, make_vector, open_shard

ROOT = Path(__file__).parents[2]


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("committing.py")), str(folder), *more],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def check(folder: Path, lines: list[str]) -> None:
    """What was printed is stored, and everything stored is whole."""
    acknowledged: dict[str, int] = defaultdict(int)
    blocks: dict[str, int] = {}
    for line in lines:
        name, number, version = line.split()
        if name == "block":
            blocks[number] = 0
        else:
            acknowledged[name] = max(acknowledged[name], int(number))
            newest = next(reversed(blocks))
            blocks[newest] = max(blocks[newest], int(version))
    shard = open_shard(folder, lock_wait=10)
    try:
        stored = [key.id for key in shard.find_agents(AgentQuery(limit=1000))]
        assert acknowledged.keys() <= set(stored)
        for loaded in shard.load_many(stored):
            agent_id = loaded.state.agent.id
            assert loaded.seq >= acknowledged[agent_id]
            assert loaded.state.history == loaded.seq + 1
            ordinals = []
            page = MessageQuery(agent_id=agent_id, limit=1000, descending=False)
            while messages := shard.messages(page):
                ordinals += [message.ordinal for message in messages]
                assert all(message.content.rstrip("x") == str(message.ordinal) for message in messages[1:])
                page = page.model_copy(update={"after": messages[-1].id})
            assert ordinals == list(range(loaded.seq + 1))
            steps = shard.steps(StepQuery(agent_id=agent_id, limit=1000))
            assert len(steps) == min(loaded.seq, 1000)
        archives = shard.find_documents(DocumentQuery(kind="archive", limit=1000))
        for archive in archives:
            agent_id = archive.name
            check_passages(shard, archive.id, shard.load(agent_id).seq)
        assert acknowledged.keys() <= {archive.name for archive in archives}
        for block in shard.blocks(list(blocks)):
            assert block.version >= blocks.pop(block.id)
        assert not blocks
        assert shard.stats()["unreadable_entries"] == 0
    finally:
        shard.close()


def check_passages(shard: Shard, archive_id: str, count: int) -> None:
    """Every step's passage is there once, with its vector, and found by its word."""
    texts = []
    page = PassageQuery(archive_id=archive_id, limit=1000)
    while passages := shard.passages(page):
        texts += [passage.text for passage in passages]
        assert all(passage.vector == make_vector(int(passage.text), *range(100)) for passage in passages)
        page = page.model_copy(update={"after": passages[-1].id})
    assert texts == [str(number) for number in range(1, count + 1)]
    if count:
        hits = shard.search_passages(PassageSearch(archive_id=archive_id, query=str(count)))
        assert [hit.passage.text for hit in hits] == [str(count)]
        hits = shard.search_passages(
            PassageSearch(archive_id=archive_id, vector=make_vector(*range(101)), limit=1000)
        )
        assert len(hits) == min(count, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("acknowledgements", [1, 40, 250, 600])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path, acknowledgements):
    """Again and again on the same store, whatever the writer was doing just then."""
    lines: list[str] = []
    for _ in range(2):
        with start(tmp_path) as process:
            assert process.stdout
            lines += [process.stdout.readline() for _ in range(acknowledgements)]
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
            lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        check(tmp_path, lines)


@pytest.mark.slow
def test_a_full_disk_stops_the_shard_and_loses_nothing(tmp_path):
    with start(tmp_path, str(3 << 20)) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    lines = output.splitlines()
    errors = [line.split(maxsplit=2) for line in lines if line.startswith("error")]
    assert len(errors) == 5, "each of the four writers, and whoever comes later"
    assert {name for _, name, _ in errors} == {"StoreFull"}
    assert "cannot be written" in errors[0][2]
    assert str(tmp_path) in errors[0][2]
    check(tmp_path, [line for line in lines if not line.startswith("error")])


def test_the_watermark_cannot_be_written(tmp_path, monkeypatch):
    shard = open_shard(tmp_path)
    ann = Committer(shard)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shard._watermark, "save", fail)
    with pytest.raises(StoreFull, match="No space left"):
        deque(iter(lambda: ann.say("hello"), None))
    shard.close()


def test_a_shard_is_opened_once(tmp_path):
    shard = open_shard(tmp_path)
    with pytest.raises(StoreLocked, match="in use"):
        open_shard(tmp_path)
    shard.close()
    open_shard(tmp_path).close()


def test_another_process_holds_the_shard(tmp_path):
    with start(tmp_path) as process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(StoreLocked, match="in use"):
            open_shard(tmp_path)
        process.kill()
        open_shard(tmp_path, lock_wait=30).close()


def test_another_program_holds_the_database(tmp_path):
    open_shard(tmp_path).close()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    path = tmp_path / "0.duckdb"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        with pytest.raises(StoreLocked, match="in use"):
            open_shard(tmp_path, lock_wait=0.1)
        release = threading.Timer(0.3, process.stdin.close)
        release.start()
        open_shard(tmp_path, lock_wait=30).close()
        release.join()


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    open_shard(tmp_path).close()
    with duckdb.connect(tmp_path / "0.duckdb") as connection:
        connection.execute("update meta set value = 99 where name = 'schema_version'")
    with pytest.raises(StoreTooNew, match="schema version 99"):
        open_shard(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"), [({"shards": 3}, "fixed"), ({"index": 1, "shards": 2}, "not shard 1")]
)
def test_a_shard_belongs_to_one_place_of_one_store(tmp_path, options, message):
    open_shard(tmp_path, shards=2).close()
    with pytest.raises(StoreError, match=message):
        open_shard(tmp_path, **options)
    open_shard(tmp_path, shards=2).close()


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "0.duckdb").write_bytes(b"something else" * 1000)
    with pytest.raises(StoreCorrupt, match="damaged"):
        open_shard(tmp_path)


@pytest.fixture
def crashed(tmp_path):
    """A folder as a crash leaves it, with 30 commits of one agent in the write-ahead log, and the agent."""
    live = tmp_path / "live"
    shard = open_shard(live)
    ann = Committer(shard)
    for number in range(29):
        ann.say(f"{number}" * 500)
    shard._writer._checkpoint = lambda force: None
    shard.close()
    assert (live / "0.duckdb.wal").stat().st_size > 10_000
    return live, ann


def test_a_lost_end_of_the_log_is_noticed(crashed):
    folder, ann = crashed
    wal = folder / "0.duckdb.wal"
    os.truncate(wal, wal.stat().st_size - 5_000)
    with pytest.raises(StoreCorrupt, match=r"log ends at entry \d+, and entry 30 was acknowledged"):
        open_shard(folder)
    open_shard(folder, repair=True).close()
    shard = open_shard(folder)
    loaded = shard.load(ann.id)
    assert 0 < loaded.seq < 29
    assert len(shard.messages(MessageQuery(agent_id=ann.id, limit=100))) == loaded.seq + 1
    shard.close()


def test_damage_inside_the_log_is_reported_with_its_place(crashed):
    folder, ann = crashed
    wal = folder / "0.duckdb.wal"
    data = bytearray(wal.read_bytes())
    data[-5_000] ^= 0xFF
    wal.write_bytes(data)
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    with pytest.raises(StoreCorrupt, match=r"0\.duckdb\.wal is damaged at byte \d+.*doctor --repair"):
        open_shard(folder)
    assert (folder / "0.duckdb.wal").read_bytes() == bytes(data), "nothing is changed without being asked"
    shard = open_shard(folder, repair=True)
    assert 0 < shard.load(ann.id).seq < 29
    shard.close()
    [copy] = folder.glob("*.damaged-*")
    assert copy.read_bytes() == bytes(data)


def test_a_damaged_watermark_is_noticed(crashed):
    folder, ann = crashed
    (folder / "0.duckdb.acknowledged").write_text("00000000000000000007 00000000\n")
    with pytest.raises(StoreCorrupt, match="cannot be told"):
        open_shard(folder)
    shard = open_shard(folder, repair=True)
    assert shard.load(ann.id).seq == 29
    shard.close()
    open_shard(folder).close()
