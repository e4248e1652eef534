"""Long histories, written into the log of a store while no server has it open."""

from pathlib import Path

from benchmarks.recall import words
from storage.commits import Delta, Entry
from storage.ids import new_id, slot_of
from storage.records import Message, now
from storage.shard import Shard

MESSAGES_IN_COMMIT = 20
WORDS_IN_MESSAGE = 20


def lengthen(data: Path, agent_id: str, count: int, in_context: int) -> None:
    """Let a user and an agent talk until its history has ``count`` messages.

    Args:
        data: the data directory.
        count: messages in the history afterwards, the system message included.
        in_context: how many of the newest stay in context, besides the system message; even.
    """
    shards = len(list(data.glob("shard-*.duckdb")))
    index = slot_of(agent_id) % shards
    shard = Shard.open(data / f"shard-{index}.duckdb", index=index, shards=shards)
    try:
        epoch = shard.claim([agent_id], "benchmark")
        loaded = shard.load(agent_id)
        seq, left = loaded.seq, count - loaded.state.history
        system, *kept = (message.id for message in loaded.state.context)
        while left > 0:
            said = _talk(agent_id, min(left, MESSAGES_IN_COMMIT))
            left -= len(said)
            kept = [*kept, *(message.id for message in said)][-in_context:]
            seq += 1
            payload = Delta(messages=said, context=[system, *kept]).pack()
            shard.commit([Entry("step", agent_id, seq, epoch, payload)])[0].result()
    finally:
        shard.close()


def _talk(agent_id: str, count: int) -> list[Message]:
    return [
        Message(
            id=new_id("message", agent_id),
            role="assistant" if number % 2 else "user",
            created_at=now(),
            content=words(WORDS_IN_MESSAGE),
            tokens=2 * WORDS_IN_MESSAGE,
        )
        for number in range(count)
    ]
