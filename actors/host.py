"""A host: the Ray actor that agents live in."""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Coroutine
from functools import partial
from typing import Any

import ray

from actors.agent import Agent
from actors.models import Models, Provider
from actors.options import Options
from actors.protocol import Announcement, Done, Event, Failed, Moved, Operation, Reply
from actors.store import Store
from storage.errors import GreenroomError, NotFound
from storage.ids import slot_of
from storage.records import Block

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.015
"""How long deltas may wait for more of their kind. Nothing else waits."""
REPLIES = 512
"""Replies in one batch, at most."""
SWEEP_SECONDS = 1.0


class Outbox:
    """Replies on their way to the server."""

    def __init__(self) -> None:
        self._replies: list[Reply] = []
        self._wake = asyncio.Event()
        self._streaming: set[int] = set()

    def put(self, reply: Reply) -> None:
        self._replies.append(reply)
        # The first piece of an answer goes out at once, like everything whole. Later pieces gather.
        if reply.last:
            self._streaming.discard(reply.operation)
        elif reply.operation in self._streaming:
            if len(self._replies) == 1:
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._wake.set)
            return
        else:
            self._streaming.add(reply.operation)
        self._wake.set()

    async def take(self) -> list[Reply]:
        """Wait for replies and take them, in order."""
        await self._wake.wait()
        taken, self._replies = self._replies[:REPLIES], self._replies[REPLIES:]
        if not self._replies:
            self._wake.clear()
        return taken


class Host:
    """Holds agents in memory and runs their operations.

    Args:
        name: for logs and claims.
        options: the fleet's options.
        providers: model providers, with their keys.
    """

    def __init__(self, name: str, options: Options, providers: list[Provider]) -> None:
        self.name = name
        self.options = options
        self._store = Store([ray.get_actor(f"shard-{index}") for index in range(options.shards)])
        self._models = Models(
            providers,
            calls=options.model_calls,
            timeout=options.model_timeout,
            retries=options.model_retries,
            scripted_latency_ms=options.scripted_latency_ms,
            scripted_tokens_per_second=options.scripted_tokens_per_second,
        )
        self._epochs: dict[int | str, int] = {}
        self._agents: OrderedDict[str, Agent] = OrderedDict()
        self._outbox = Outbox()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._bytes = 0
        self._counts = {"activations": 0, "hibernations": 0, "steps": 0}
        self._beat = 0.0
        """When the event loop was last seen alive; 0 until it has something to do."""

    async def own(self, epochs: dict[int | str, int]) -> None:
        """Take over the slots and agents named by the keys, each under its epoch; give up the rest."""
        self._epochs = epochs
        for agent in list(self._agents.values()):
            if self._epoch(agent.id) != agent.epoch:
                await self._drop(agent)
        if not self._sweeper:
            self._sweeper = asyncio.create_task(self._sweep())

    async def deliver(self, operations: list[Operation]) -> None:
        """Start operations, in order. Their replies come from :meth:`collect`."""
        for operation in operations:
            try:
                self._begin(operation)
            except GreenroomError as error:
                self._reply(operation, Failed(error, ""), last=True)

    async def collect(self) -> list[Reply] | None:
        """Wait for replies and take them. ``None`` says that the host owns nothing yet: Ray has started
        it again, and it does not know what it was before."""
        return await self._outbox.take() if self._sweeper else None

    async def release(self, agent_id: str) -> bool:
        """Give an agent up, unless it has work to do; answers whether it is given up."""
        agent = self._agents.get(agent_id)
        if agent and agent.busy:
            return False
        self._epochs.pop(agent_id, None)
        if agent:
            self._forget(agent)
        return True

    @ray.method(concurrency_group="control")
    async def health(self) -> dict[str, float]:
        """Figures of this host; answered on a thread of its own, also while the others are stuck."""
        return {
            "pid": os.getpid(),
            "agents": len(self._agents),
            "agent_bytes": self._bytes,
            "lag_seconds": max(0.0, time.monotonic() - self._beat - SWEEP_SECONDS) if self._beat else 0.0,
            **self._counts,
        }

    def _begin(self, operation: Operation) -> None:
        emit = partial(self._reply, operation)
        match operation.kind:
            case "send":
                self._resident(operation.agent_id).post(operation.payload, emit, again=operation.again)
            case "enqueue":
                agent = self._resident(operation.agent_id)
                self._spawn(operation, agent.enqueue(operation.payload, again=operation.again))
            case "compact":
                self._resident(operation.agent_id).post(operation.payload, emit, again=operation.again)
            case "settle":
                self._spawn(operation, self._resident(operation.agent_id).settle(operation.payload))
            case "edit":
                self._spawn(operation, self._resident(operation.agent_id).edit(operation.payload))
            case "delete":
                agent = self._resident(operation.agent_id)
                self._spawn(operation, self._delete(agent, again=operation.again))
            case "cancel":
                self._spawn(operation, self._cancel(operation.agent_id, operation.payload))
            case "refresh":
                self._refresh(operation.payload)
                emit(Done(None), last=True)
            case "drain":
                self._spawn(operation, self._drain(operation.payload))

    def _resident(self, agent_id: str) -> Agent:
        agent = self._agents.get(agent_id)
        if agent is None:
            epoch = self._epoch(agent_id)
            if epoch is None:
                raise Moved
            agent = Agent(
                agent_id,
                epoch,
                store=self._store,
                models=self._models,
                mailbox=self.options.mailbox,
                on_change=self._changed,
                on_block=self._refresh,
                counts=self._counts,
                default_embedding=self.options.default_embedding,
            )
            self._agents[agent_id] = agent
            self._counts["activations"] += 1
        self._agents.move_to_end(agent_id)
        agent.touch()
        return agent

    def _epoch(self, agent_id: str) -> int | None:
        return self._epochs.get(agent_id) or self._epochs.get(slot_of(agent_id))

    def _spawn(self, operation: Operation, work: Coroutine[Any, Any, Any]) -> None:
        async def answer() -> None:
            event: Event | Done
            try:
                event = Done(await work)
            except GreenroomError as error:
                event = Failed(error, "")
            self._reply(operation, event, last=True)

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reply(self, operation: Operation, event: Event | Announcement | Done, last: bool) -> None:
        self._outbox.put(Reply(operation.id, event, last))

    async def _cancel(self, agent_id: str, run_ids: list[str] | None) -> dict[str, str]:
        agent = self._agents.get(agent_id)
        return await agent.cancel(run_ids) if agent else {}

    async def _delete(self, agent: Agent, *, again: bool) -> None:
        try:
            await agent.delete()
        except NotFound:
            if not again:
                raise
        finally:
            self._changed(agent, 0)

    async def _drain(self, seconds: float) -> int:
        """Let running work finish for this long, cancel the rest; answers how much was cancelled."""
        busy = [agent for agent in self._agents.values() if agent.busy]
        waiting = [asyncio.create_task(agent.idle()) for agent in busy]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        late = [agent for agent in busy if agent.busy]
        await asyncio.gather(*(agent.stop() for agent in late))
        await self._models.close()
        return len(late)

    # memory

    def _changed(self, agent: Agent, grown: int) -> None:
        """An agent's size changed, or it fell idle, or it turned out not to be ours."""
        if self._agents.get(agent.id) is not agent:
            return
        self._bytes += grown
        if agent.gone:
            self._forget(agent)
        while self._crowded():
            idle = next((each for each in self._agents.values() if not each.busy), None)
            if idle is None:
                return
            self._forget(idle)

    def _crowded(self) -> bool:
        return (
            len(self._agents) > self.options.agents_per_actor
            or self._bytes > self.options.host_memory_mb * 2**20
        )

    def _forget(self, agent: Agent) -> None:
        # Nothing to save: every step is in the store already.
        del self._agents[agent.id]
        self._bytes -= agent.size
        self._counts["hibernations"] += 1

    async def _drop(self, agent: Agent) -> None:
        await agent.stop()
        if self._agents.get(agent.id) is agent:
            self._forget(agent)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._beat = time.monotonic()
            limit = self._beat - self.options.idle_seconds
            for agent in list(self._agents.values()):
                if agent.touched > limit:
                    break
                if not agent.busy:
                    self._forget(agent)

    # shared blocks

    def _refresh(self, block: Block) -> None:
        for agent in self._agents.values():
            agent.refresh(block)
