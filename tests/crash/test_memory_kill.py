"""A server is killed while memory changes: in the middle of compactions and of a shared block's edits."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import aiohttp
import pytest

from storage.ids import slot_of
from tests.crash.load import BLOCKS, MODEL, SECONDS, Client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.crash]

SHARDS = 2
"""Of the machine."""
AGENTS = 4
BLOWS = 3
DONE = 8
"""Acknowledged changes between two blows."""
MOST = {"compaction_settings": {"mode": "sliding_window", "sliding_window_percentage": 0.7}}


@dataclass
class Workers:
    """Does things over and over, each worker one after the other, until it is stopped."""

    works: list[Callable[[int], Awaitable[None]]]
    """Each is called with 1, 2, 3, ..."""
    done: int = 0
    _stopped: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._work(work)) for work in self.works]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int) -> None:
        """Wait until so many more have been done."""
        wanted = self.done + count
        async with asyncio.timeout(SECONDS):
            while self.done < wanted:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def _work(self, work: Callable[[int], Awaitable[None]]) -> None:
        number = 0
        while not self._stopped:
            number += 1
            await work(number)
            self.done += 1


async def context(client: Client, agent: str) -> list[str]:
    """Ids of the messages in context."""
    return list((await client.get(f"/v1/agents/{agent}"))["message_ids"])


async def check_context(client: Client, agent: str) -> None:
    """The context is what the last compaction left and everything since, and each summary has its step."""
    history = {each["id"]: each for each in await client.messages(agent)}
    system, *ids = history
    summaries = [key for key in ids if history[key]["message_type"] == "summary_message"]
    steps = await client.get(f"/v1/steps?agent_id={agent}&limit=1000")
    made = [each["id"] for each in steps if each["origin"] == "compaction"]
    assert sorted(history[key]["step_id"] for key in summaries) == sorted(made)
    newest = summaries[-1]
    older = [key for key in ids[: ids.index(newest)] if key not in summaries]
    kept = history[newest]["compaction_stats"]["messages_count_after"] - len([system, newest])
    since = ids[ids.index(newest) + 1 :]
    assert await context(client, agent) == [system, newest, *older[len(older) - kept :], *since]


@pytest.mark.parametrize("part", ["host", "shard", "everything"])
async def test_a_kill_in_a_compaction_leaves_the_old_context_or_the_new(part, machine, server, client, model):
    held = f"summary_of_{part}"
    agent = await client.new_agent()
    await client.answer(agent, "My name is Ada.")
    # The second call with these words is the summariser's, who is shown them.
    await client.answer(agent, f'say "hello", then hold {held} at call 2')
    for _ in range(2):
        await client.answer(agent, 'say "goodbye"')
    before, history = await context(client, agent), await client.messages(agent)

    summarize = f"/v1/agents/{agent}/summarize"
    compacting = asyncio.create_task(client.try_once("POST", summarize, MOST))
    await model.held(held, calls=2)
    server.kill9(part)
    model.release(held)
    if part == "everything":
        with pytest.raises(aiohttp.ClientError):
            await compacting
        await machine.start()
        assert await context(client, agent) == before
        assert await client.messages(agent) == history
        status, answer = await client.call("POST", summarize, MOST)
    else:
        status, answer = await compacting
    assert status == 200, answer

    whole = await client.messages(agent)
    assert whole[1 : len(history)] == history[1:]  # the first is the system prompt, compiled anew
    assert [each["message_type"] for each in whole[len(history) :]] == ["summary_message"]
    assert len(await context(client, agent)) < len(before)
    await check_context(client, agent)
    assert await client.answer(agent, "what is my name?") == "Your name is Ada."
    assert model.problems == []


@pytest.mark.parametrize(("part", "blows"), [("host", BLOWS), ("everything", 1)])
async def test_kills_at_any_moment_of_many_compactions(part, blows, machine, server, client, model):
    agents = [await client.new_agent() for _ in range(AGENTS)]
    said: Counter[tuple[str, str]] = Counter()

    def talk(agent: str) -> Callable[[int], Awaitable[None]]:
        async def work(number: int) -> None:
            text = f'say "word-{number}-"'
            status, answer = await client.say(agent, text, otid=f"{agent}-{number}")
            assert (status, answer["messages"][-1]["content"]) == (200, f"word-{number}-"), answer
            said[agent, text] += 1
            # One that was made just before a kill may leave nothing to the one that is asked for again.
            status, answer = await client.call("POST", f"/v1/agents/{agent}/summarize", MOST)
            assert status in (200, 400), answer

        return work

    async with Workers([talk(agent) for agent in agents]) as workers:
        for _ in range(blows):
            await workers.more(DONE)
            await asyncio.sleep(random.uniform(0, 0.05))
            server.kill9(part)
            if part == "everything":
                server = await machine.start()
        await workers.more(DONE)
    for agent in agents:
        await check_context(client, agent)
        found = Counter(
            (agent, each["content"])
            for each in await client.messages(agent)
            if each["message_type"] == "user_message"
        )
        assert found == {key: 1 for key in said if key[0] == agent}
        assert await client.answer(agent, 'say "still here"') == "still here"
    assert model.problems == []


def shard_of(identifier: str) -> int:
    return slot_of(identifier) % SHARDS


async def agents_on_all_shards(client: Client, block: str) -> list[str]:
    """One agent on each shard, all with this block."""
    found: dict[int, str] = {}
    body = {"model": MODEL, "memory_blocks": BLOCKS, "block_ids": [block]}
    while len(found) < SHARDS:
        status, agent = await client.call("POST", "/v1/agents", body)
        assert status == 200, agent
        found[shard_of(agent["id"])] = agent["id"]
    return list(found.values())


async def versions(client: Client, block: str) -> list[dict[str, Any]]:
    """All versions of a block, oldest first."""
    found: list[dict[str, Any]] = []
    while True:
        after = f"&after={found[-1]['version']}" if found else ""
        page = await client.get(f"/v1/blocks/{block}/versions?limit=100&order=asc{after}")
        if not page:
            return found
        found += page


@pytest.mark.parametrize("part", ["host", "shard"])
async def test_no_edit_of_a_shared_block_is_lost(part, server, client, model):
    status, board = await client.call("POST", "/v1/blocks", {"label": "board", "value": "", "limit": 100_000})
    assert status == 200, board
    block = f"/v1/blocks/{board['id']}"
    agents = await agents_on_all_shards(client, board["id"])
    lines: list[str] = []
    notes: list[str] = []

    def insert(agent: str, writer: int) -> Callable[[int], Awaitable[None]]:
        async def work(number: int) -> None:
            line = f"line {number} of writer {writer}."
            text = f'call memory_insert {{"label": "board", "new_string": "{line}"}}'
            status, answer = await client.say(agent, text, otid=f"{agent}-{number}")
            assert status == 200, answer
            lines.append(line)

        return work

    async def describe(number: int) -> None:
        # What the agents change meanwhile is another field: a client replaces the value as a whole.
        status, answer = await client.call("PATCH", block, {"description": f"note {number}."})
        assert status == 200, answer
        notes.append(f"note {number}.")

    writers = [insert(agent, writer) for writer, agent in enumerate(agents)]
    async with Workers([*writers, describe]) as workers:
        for _ in range(BLOWS):
            await workers.more(DONE)
            await asyncio.sleep(random.uniform(0, 0.05))
            server.kill9(part)
        await workers.more(DONE)

    final = await client.get(block)
    found = Counter(final["value"].splitlines())
    assert set(found) == set(lines)
    # Only an edit that could not be in the transaction of its step may have been made again with it.
    home = next(n for n, agent in enumerate(agents) if shard_of(agent) == shard_of(board["id"]))
    assert {found[line] for line in lines if line.endswith(f"writer {home}.")} == {1}
    assert final["description"] == notes[-1]
    made = await versions(client, board["id"])
    assert [each["version"] for each in made] == list(range(len(made)))
    assert (made[-1]["value"], made[-1]["description"]) == (final["value"], final["description"])
    described = list(dict.fromkeys(each["description"] for each in made if each["description"] in notes))
    assert described == notes
    grown = [each["value"].splitlines() for each in made]
    for old, new in pairwise(grown):
        assert new[: len(old)] == old
        assert len(new) <= len(old) + 1

    for number, agent in enumerate(agents):
        words = f"seen {part} {number}"
        assert await client.answer(agent, f'say "{words}"') == words
        system = model.prompts_with(words)[-1][0]["content"]
        for line in [*lines, notes[-1]]:
            assert line in system
    assert model.problems == []
