"""Commits in a process of its own, until it is killed or told to stop: ``committing.py <folder> <seed>``.

Four threads each lead one agent that all share a block. Every acknowledgement is printed as
``<agent> <seq> <block version>`` before the next commit is made. With a third argument, files may
not grow beyond that many bytes, and the error that follows is printed.
"""

import resource
import sys
import threading
from pathlib import Path

from storage.commits import BlockWrite, Delta
from storage.errors import StaleBlock, StoreError
from storage.ids import new_id
from storage.records import Block
from tests.storage.made import (
    Committer,
    make_archive,
    make_block,
    make_message,
    make_passage,
    make_run,
    make_step,
    make_vector,
    open_shard,
    write_archive,
    write_block,
)

_printing = threading.Lock()


def say(*words: object) -> None:
    with _printing:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()


def lead(shard, block_id: str, padding: str) -> None:
    agent = Committer(shard)
    agent.claim()
    archive = make_archive(agent.id, name=agent.id)
    try:
        write_archive(shard, archive)
    except StoreError as error:
        say("error", type(error).__name__, error)
        return
    say(agent.id, 0, -1)
    run = make_run(agent.id)
    while True:
        [block] = shard.blocks([block_id])
        number = agent.seq + 1
        message = make_message(agent.id, content=f"{number}{padding}")
        new = block.model_copy(
            update={"version": block.version + 1, "value": f"{block.value}{agent.id[-12:]}:{number} "[-300:]}
        )
        context = [agent.state.context[0].id, message.id]
        delta = Delta(messages=[message], context=context, run=run, step=make_step(agent.id, run.id))
        try:
            passage = make_passage(archive, str(number), vector=make_vector(number, *range(100)))
            agent.change(delta, [BlockWrite(new, block.version)], message.id, [passage])
        except StaleBlock:
            continue
        except StoreError as error:
            say("error", type(error).__name__, error)
            return
        say(agent.id, number, new.version)


def main() -> None:
    folder = Path(sys.argv[1])
    shard = open_shard(folder, lock_wait=30, checkpoint_mb=1)
    block: Block = make_block(id=new_id("block"))
    write_block(shard, block, None)
    say("block", block.id, 0)
    if len(sys.argv) > 2:
        limit = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    threads = [threading.Thread(target=lead, args=(shard, block.id, "x" * 2000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        Committer(shard)
    except StoreError as error:
        say("error", type(error).__name__, error)
    shard.close()


if __name__ == "__main__":
    main()
