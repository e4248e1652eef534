"""Agents, blocks and entries for the tests, made with as little as they need."""

import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage.commits import BlockWrite, Committed, Delta, DocumentWrite, Entry, State, apply
from storage.ids import new_id
from storage.records import Agent, Archive, Block, LlmConfig, Message, Passage, Run, Step, now
from storage.shard import Shard

WAIT = 60
LLM = LlmConfig(model="m", model_endpoint_type="openai", context_window=1000, handle="a/m", provider_name="a")


def open_shard(folder: Path, **options: Any) -> Shard:
    return Shard.open(folder / "0.duckdb", **({"index": 0, "shards": 1} | options))


def make_block(near: str | None = None, **fields: Any) -> Block:
    made = {
        "id": new_id("block", near),
        "label": "human",
        "value": "",
        "created_at": now(),
        "updated_at": now(),
    }
    return Block(**(made | fields))


def make_archive(near: str | None = None, **fields: Any) -> Archive:
    made = {"id": new_id("archive", near), "name": "notes", "created_at": now(), "updated_at": now()}
    return Archive(**(made | fields))


def make_passage(archive: Archive, text: str = "words", **fields: Any) -> Passage:
    made = {"id": new_id("passage", archive.id), "archive_id": archive.id, "text": text, "created_at": now()}
    return Passage(**(made | fields))


def make_vector(*numbers: float) -> bytes:
    return array("f", numbers).tobytes()


def make_message(near: str, **fields: Any) -> Message:
    return Message(**({"id": new_id("message", near), "role": "user", "created_at": now()} | fields))


def make_run(near: str, **fields: Any) -> Run:
    made = {"id": new_id("run", near), "agent_id": near, "status": "running", "created_at": now()}
    return Run(**(made | fields))


def make_step(near: str, run_id: str, **fields: Any) -> Step:
    made = {"id": new_id("step", near), "run_id": run_id, "agent_id": near, "created_at": now()}
    return Step(**(made | {"model": "m", "model_handle": "a/m"} | fields))


class Committer:
    """Commits for one agent and keeps its state, as the agent itself would."""

    def __init__(self, shard: Shard, blocks: Sequence[Block] = (), **fields: Any) -> None:
        self.shard = shard
        self.id = new_id("agent")
        self.seq = -1
        self.epoch = 0
        made = {"id": self.id, "name": "ann", "system": "s", "llm_config": LLM}
        times = {"created_at": now(), "updated_at": now()}
        agent = Agent(**(made | times | {"block_ids": [block.id for block in blocks]} | fields))
        system = make_message(self.id, role="system", content="you are ann")
        self.state = State(agent=agent, context=[system], history=1)
        self.send("create", self.state.pack(), [BlockWrite(block, None) for block in blocks])

    def claim(self) -> None:
        self.epoch = self.shard.claim([self.id], "test")

    def change(
        self,
        delta: Delta,
        blocks: Sequence[BlockWrite] = (),
        key: str | None = None,
        passages: Sequence[Passage] = (),
    ) -> Committed:
        if self.epoch == 0:
            self.claim()
        committed = self.send("step", delta.pack(), list(blocks), key, passages)
        apply(self.state, delta)
        return committed

    def say(self, text: str, **fields: Any) -> Message:
        message = make_message(self.id, content=text, **fields)
        self.change(Delta(messages=[message]))
        return message

    def delete(self) -> None:
        if self.epoch == 0:
            self.claim()
        self.send("delete")

    def entry(self, kind: Any, payload: bytes = b"", key: str | None = None) -> Entry:
        return Entry(kind, self.id, self.seq + 1, self.epoch, payload, key)

    def send(
        self,
        kind: Any,
        payload: bytes = b"",
        blocks: Sequence[BlockWrite] = (),
        key: str | None = None,
        passages: Sequence[Passage] = (),
    ) -> Committed:
        entry = self.entry(kind, payload, key)
        entry.blocks, entry.passages = list(blocks), list(passages)
        committed = commit(self.shard, entry)
        self.seq += 1
        return committed


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in the background."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def commit(shard: Shard, entry: Entry) -> Committed:
    return shard.commit([entry])[0].result(WAIT)


def write_archive(shard: Shard, archive: Archive, based_on: int | None = None) -> Committed:
    write = DocumentWrite(archive, based_on)
    return commit(shard, Entry("documents", archive.id, 0, 0, documents=[write]))


def write_block(shard: Shard, block: Block, based_on: int | None) -> Committed:
    return commit(shard, Entry("blocks", block.id, 0, 0, blocks=[BlockWrite(block, based_on)]))
