"""A data directory belongs to one server at a time."""

import os
import subprocess
import sys

import pytest

from server.data_directory import DirectoryLock, holder_of, shard_files
from storage.errors import StoreError, StoreLocked


def test_the_second_server_is_told_who_has_the_directory(tmp_path):
    with DirectoryLock(tmp_path) as lock:
        lock.announce("http://127.0.0.1:8283")
        with pytest.raises(StoreLocked) as refusal:
            DirectoryLock(tmp_path)
        holder = holder_of(tmp_path)
    assert f"process {os.getpid()}, serving on http://127.0.0.1:8283" in refusal.value.message
    assert "--data" in refusal.value.message
    assert holder is not None
    assert holder.pid == os.getpid()


def test_a_released_directory_is_free(tmp_path):
    DirectoryLock(tmp_path).release()
    assert holder_of(tmp_path) is None
    DirectoryLock(tmp_path).release()


def test_looking_does_not_take_it(tmp_path):
    with DirectoryLock(tmp_path):
        holder_of(tmp_path)
    assert holder_of(tmp_path) is None
    with DirectoryLock(tmp_path):
        pass


def test_a_killed_server_leaves_nothing_behind(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from server.data_directory import DirectoryLock\n"
        "lock = DirectoryLock(Path(sys.argv[1])); lock.announce('http://x'); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        holder = holder_of(tmp_path)
        assert holder is not None
        assert holder.pid == process.pid
        process.kill()
        process.wait()
        with DirectoryLock(tmp_path):
            pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/data cannot be used: Not a directory"):
        DirectoryLock(tmp_path / "file" / "data")


def test_shards_are_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 0):
        (tmp_path / f"shard-{number}.duckdb").write_text("")
        (tmp_path / f"shard-{number}.duckdb.wal").write_text("")
    assert [path.name for path in shard_files(tmp_path)] == [
        "shard-0.duckdb",
        "shard-2.duckdb",
        "shard-10.duckdb",
    ]
