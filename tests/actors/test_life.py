"""Whatever an agent goes through, in whatever order: what it remembers is what is stored, every
acknowledged message is in its history once, and a model would go on with it."""

import asyncio
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.fleet import Fleet
from actors.options import Options
from actors.protocol import AgentEdit, CompactRequest, Ended, Failed
from actors.tools.builtin import BUILTIN
from storage.errors import InvalidArgument
from storage.ids import new_id
from tests.actors.in_process import hosts, scripted, small_fleet
from tests.actors.runtime import check, history, new_agent, new_block, request, settled

TEXTS = [
    'say "word {}"',
    "remember that fact {}",
    'call memory_insert {{"label": "human", "new_string": "{}"}}\ncall conversation_search {{"query": "x"}}',
    'call memory {{"command": "delete", "path": "/memories/board"}}\nfact {}',
    'call no_such_tool {{"x": {}}}',
]
EDITS = ["rename", "system", "attach", "detach", "tool", "reset", "cancel", "compact"]
BLOWS = ["hibernate", "die"]

texts = st.sampled_from(TEXTS)
operations = st.one_of(
    st.tuples(st.just("say"), texts),
    st.tuples(st.just("say"), texts),
    st.tuples(st.just("accept"), texts),
    st.tuples(st.just("again")),
    st.tuples(st.just("do"), st.sampled_from([*EDITS, *BLOWS, "restart"])),
    st.tuples(st.just("during"), texts, st.sampled_from([*EDITS, *BLOWS]), st.integers(0, 12)),
)


@dataclass
class Life:
    """One agent and what it has been through."""

    fleet: Fleet
    agent: str
    board: str
    numbers: int = 0
    answered: list[str] = field(default_factory=list)
    last: tuple[str, str] = ("hello", "otid-0")
    template: str = ""

    async def say(self, text: str) -> None:
        self.numbers += 1
        self.last = text.format(self.numbers), f"otid-{self.numbers}"
        await self.send(*self.last)

    async def send(self, text: str, otid: str) -> None:
        async for event in self.fleet.send(self.agent, request(self.agent, text, otid=otid, max_steps=4)):
            if isinstance(event, Ended) and event.run.status == "completed" and text not in self.answered:
                self.answered.append(text)
            if isinstance(event, Failed):
                raise event.error

    async def accept(self, text: str) -> None:
        self.numbers += 1
        accepted = request(self.agent, text.format(self.numbers), background=True, max_steps=4)
        await self.fleet.enqueue(self.agent, accepted)
        self.answered.append(text.format(self.numbers))

    async def do(self, what: str) -> None:
        edits: dict[str, dict[str, Any]] = {
            "rename": {"set": {"name": f"name {self.numbers}"}},
            "system": {"set": {"system": f"template {self.numbers}"}},
            "attach": {"attach_blocks": [self.board]},
            "detach": {"set": {"block_ids": []}},
            "tool": {"attach_tools": [BUILTIN["memory_rethink"].id]},
            "reset": {"reset_messages": True},
        }
        if what == "system":
            self.template = f"template {self.numbers}"
        if what in edits:
            await self.fleet.edit_agent(self.agent, AgentEdit(**edits[what]))
        elif what == "cancel":
            await self.fleet.cancel(self.agent, None)
        elif what == "compact":
            await self.compact()
        elif what == "hibernate":
            for host in hosts(self.fleet):
                for agent in [each for each in host._agents.values() if not each.busy]:
                    host._forget(agent)
        else:
            self.fleet._directory.channels[0].host.die()

    async def compact(self) -> None:
        with suppress(InvalidArgument):  # There may be nothing to summarise.
            await self.fleet.compact(self.agent, CompactRequest(run_id=new_id("run", self.agent)))

    async def during(self, text: str, what: str, turns: int) -> None:
        """Do something while a message is being answered, some turns of the event loop in."""
        saying = asyncio.create_task(self.say(text))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        await asyncio.gather(saying, self.do(what))

    async def check(self) -> None:
        await settled(self.fleet, self.agent)
        await check(self.fleet, self.agent)
        assert self.template in (await self.fleet.agent(self.agent)).state.context[0].text()
        said = Counter(each.text() for each in await history(self.fleet, self.agent) if each.role == "user")
        assert {text: said[text] for text in self.answered} == dict.fromkeys(self.answered, 1)
        assert not [text for text, times in said.items() if times > 1]


async def live(script: list[tuple[Any, ...]], data: Path) -> None:
    options = Options(data=data, shards=1, hosts=1, scripted_latency_ms=2)
    pending = list(script)
    life: Life | None = None
    while life is None or pending:
        async with small_fleet(options) as fleet:
            if life is None:
                board = await new_block(fleet, "board", "shared")
                agent = await new_agent(fleet, await scripted(), tools=["memory"], share=[board])
                life = Life(fleet, agent, board)
            life.fleet = fleet
            while pending:
                operation, *arguments = pending.pop(0)
                if arguments == ["restart"]:
                    break
                if operation == "again":
                    await life.send(*life.last)
                else:
                    await getattr(life, operation)(*arguments)
            await life.check()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.lists(operations, max_size=10))
def test_a_life(script):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live(script, Path(directory)))
