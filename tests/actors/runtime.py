"""What the tests of the runtime share: a model that can be watched and held, agents, and checks."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from actors import agent_types, compiled
from actors.fleet import Fleet
from actors.models import Catalog, Provider
from actors.models.scripted.prompt import read
from actors.models.scripted_server import make_app
from actors.prompt import to_chat
from actors.protocol import AgentEdit, Ended, Event, Failed, SendRequest
from actors.tools.builtin import BUILTIN
from storage.commits import State
from storage.ids import new_id
from storage.queries import MessageQuery, RunQuery, StepQuery
from storage.records import Agent, Block, LlmConfig, Message, now
from tests.strict_history import violations

SECONDS = 30
"""How long a condition may take to come true."""
HOLD = re.compile(r"\bhold (?P<name>\w+)(?: at call (?P<call>\d+))?")


class Endpoint:
    """The scripted model behind HTTP. It notes what it is sent and whether a strict provider would
    take it. A message that says ``hold NAME`` is answered once NAME is released; with ``hold NAME at
    call 2`` only the second call for it waits."""

    def __init__(self) -> None:
        self.prompts: list[list[dict[str, Any]]] = []
        self.problems: list[str] = []
        self.calls: Counter[str] = Counter()
        self._open: dict[str, asyncio.Event] = {}
        self.app = make_app()
        self.app.middlewares.append(self._watch)
        self.provider: Provider

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.endswith("/chat/completions"):
            messages = orjson.loads(await request.read())["messages"]
            self.prompts.append(messages)
            self.problems += violations(messages)
            # What was said before and not answered comes in the same turn, as earlier paragraphs.
            if held := HOLD.search(read(messages, []).user.rpartition("\n\n")[2]):
                name, call = held["name"], held["call"]
                self.calls[name] += 1
                if call is None or self.calls[name] == int(call):
                    await self._gate(name).wait()
        response: web.StreamResponse = await handler(request)
        return response

    def _gate(self, name: str) -> asyncio.Event:
        return self._open.setdefault(name, asyncio.Event())

    async def held(self, name: str, calls: int = 1) -> None:
        """Wait until so many calls have come that say ``hold NAME``."""
        await until(lambda: self.calls[name] >= calls)

    def release(self, name: str) -> None:
        self._gate(name).set()

    async def llm(self, **fields: Any) -> LlmConfig:
        """What agents need to use this model."""
        config = await Catalog([self.provider]).resolve(f"{self.provider.name}/scripted")
        return config.model_copy(update=fields)

    def prompts_with(self, text: str) -> list[list[dict[str, Any]]]:
        """The prompts whose newest words have this text in them, in the order they came."""
        return [prompt for prompt in self.prompts if text in read(prompt, []).user]


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    model = Endpoint()
    runner = web.AppRunner(model.app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        model.provider = Provider(
            name="openai-compatible",
            type="openai",
            endpoint_type="openai",
            base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1",
            variable="OPENAI_COMPATIBLE_BASE_URL",
        )
        yield model
    finally:
        await runner.cleanup()


async def until(true: Any) -> None:
    """Wait for a condition, given as a function or as one that makes a coroutine."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = true()
            if await answer if asyncio.iscoroutine(answer) else answer:
                return
            await asyncio.sleep(0.01)


async def new_agent(
    fleet: Fleet,
    llm: LlmConfig,
    *,
    human: str = "",
    share: list[str] | None = None,
    tools: list[str] | None = None,
    near: str | None = None,
    **fields: Any,
) -> str:
    """Create an agent with the blocks ``human`` and ``persona``.

    Args:
        share: ids of further blocks to attach.
        tools: names of further tools.
        near: an id whose slot it shares.
    """
    agent_id, made = new_id("agent", near), now()
    new = [
        Block(id=new_id("block", agent_id), label=label, value=value, created_at=made, updated_at=made)
        for label, value in {"human": human, "persona": "I am a test."}.items()
    ]
    kind = agent_types.get(fields.get("agent_type", "letta_v1_agent"))
    attached = [BUILTIN[name] for name in dict.fromkeys([*kind.base_tools, *(tools or [])])]
    agent = Agent(
        **{
            "name": "test",
            "system": kind.system,
            "tool_rules": agent_types.tool_rules(
                fields.get("agent_type", "letta_v1_agent"), attached, None, model=llm.model
            ),
            **fields,
        },
        id=agent_id,
        llm_config=llm,
        tool_ids=[tool.id for tool in attached],
        block_ids=[*(block.id for block in new), *(share or [])],
        created_at=made,
        updated_at=made,
    )
    blocks = [*new, *await fleet.store.blocks(share or [])]
    text = compiled.compile_text(agent, blocks, 0, [])
    system = Message(id=new_id("message", agent_id), role="system", created_at=made, content=text)
    state = State(agent=agent, context=[system], history=1, compiled=compiled.versions(blocks))
    await fleet.create_agent(state, new)
    return agent_id


async def new_block(fleet: Fleet, label: str, value: str = "", near: str | None = None) -> str:
    """Create a block that belongs to no agent yet."""
    made = now()
    block = Block(id=new_id("block", near), label=label, value=value, created_at=made, updated_at=made)
    await fleet.store.create_block(block)
    return block.id


def request(agent_id: str, *texts: str, otid: str | None = None, **options: Any) -> SendRequest:
    run_id = new_id("run", agent_id)
    messages = [
        Message(
            id=new_id("message", agent_id),
            role="user",
            created_at=now(),
            content=text,
            run_id=run_id,
            otid=otid,
        )
        for text in texts
    ]
    return SendRequest(run_id=run_id, messages=messages, **options)


async def events(fleet: Fleet, agent_id: str, *texts: str, **options: Any) -> list[Event]:
    """Send messages; everything that comes back."""
    async with asyncio.timeout(SECONDS):
        return [event async for event in fleet.send(agent_id, request(agent_id, *texts, **options))]


async def say(fleet: Fleet, agent_id: str, *texts: str, **options: Any) -> Ended:
    """Send messages; how the run ended. Raises what it failed with."""
    last = (await events(fleet, agent_id, *texts, **options))[-1]
    if isinstance(last, Failed):
        raise last.error
    assert isinstance(last, Ended)
    return last


def answer(ended: Ended) -> str:
    """The words that a run ended with."""
    return ended.messages[-1].text()


async def history(fleet: Fleet, agent_id: str) -> list[Message]:
    """All messages of an agent, oldest first."""
    messages: list[Message] = []
    while True:
        after = messages[-1].id if messages else None
        query = MessageQuery(agent_id=agent_id, limit=1000, descending=False, after=after)
        page = await fleet.store.messages(query)
        if not page:
            return messages
        messages += page


async def words(fleet: Fleet, agent_id: str) -> list[tuple[str, str]]:
    """Who said what: the roles and texts of an agent's history, its system message left out."""
    return [(each.role, each.text()) for each in await history(fleet, agent_id) if each.role != "system"]


async def value(fleet: Fleet, agent_id: str, label: str) -> str:
    """The value of an agent's block, as the store has it."""
    loaded = await fleet.agent(agent_id)
    return next(block.value for block in loaded.blocks if block.label == label)


async def check(fleet: Fleet, agent_id: str) -> None:
    """What must hold after whatever an agent went through: what it remembers is what is stored, every
    message has its place, every run has ended and a strict provider would go on with its history."""
    stored = await fleet.agent(agent_id)
    awake = await fleet.edit_agent(agent_id, AgentEdit())
    ignored = {"updated_at"}
    assert awake.state.agent.model_dump(exclude=ignored) == stored.state.agent.model_dump(exclude=ignored)
    assert awake.state.context == stored.state.context
    assert (awake.state.history, awake.state.run, awake.state.keys) == (
        stored.state.history,
        stored.state.run,
        stored.state.keys,
    )
    assert awake.blocks == stored.blocks
    assert [block.id for block in stored.blocks] == stored.state.agent.block_ids

    messages = await history(fleet, agent_id)
    assert [message.ordinal for message in messages] == list(range(stored.state.history))
    assert len({message.id for message in messages}) == len(messages)
    by_id = {message.id: message for message in messages}
    assert [by_id[each.id] for each in stored.state.context] == stored.state.context

    assert stored.state.run is None
    runs = await fleet.store.runs(RunQuery(agent_ids=[agent_id], limit=1000))
    assert all(run.ended for run in runs)
    steps = await fleet.store.steps(StepQuery(agent_id=agent_id, limit=1000))
    done = Counter(step.run_id for step in steps if step.status == "success" and step.origin != "compaction")
    assert {run.id: run.steps for run in runs if run.steps} == done

    said = Message(id=new_id("message", agent_id), role="user", created_at=now(), content="go on")
    assert violations(to_chat([*stored.state.context, said], stored.state.agent)) == []


async def settled(fleet: Fleet, agent_id: str) -> None:
    """Wait until an agent's runs have all ended."""

    async def ended() -> bool:
        runs = await fleet.store.runs(RunQuery(agent_ids=[agent_id], limit=1000))
        return all(run.ended for run in runs) and (await fleet.agent(agent_id)).state.run is None

    await until(ended)


@asynccontextmanager
async def started(fleet: Fleet) -> AsyncIterator[Fleet]:
    try:
        await fleet.start(lambda line: None)
        yield fleet
    finally:
        await fleet.close()
