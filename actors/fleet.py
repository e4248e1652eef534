"""The fleet: every agent under its id, whichever host it lives on, awake or not.

The server's one way to agents and store. Messages and edits go to the agent's host; everything
that only reads is answered by the store.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import ray

from actors import cluster
from actors.archives import Archives
from actors.channel import Channel, HostLost
from actors.compaction import Compacted
from actors.directory import Dedicated, Directory, Partitions
from actors.host import Host
from actors.message_embedder import MessageEmbedder
from actors.models import Models, Provider
from actors.options import Options
from actors.protocol import (
    AgentEdit,
    Announcement,
    CompactRequest,
    Delta,
    Done,
    Ended,
    Event,
    Failed,
    Made,
    Moved,
    SendRequest,
)
from actors.recall import Recall
from actors.shard_actor import ShardActor
from actors.store import Store
from storage.commits import BlockWrite, Entry, Loaded, State
from storage.errors import Busy, GreenroomError, NotFound, StoreError, Unavailable
from storage.queries import AgentQuery, RunQuery
from storage.records import Block, Run

log = logging.getLogger(__name__)

DEDICATED_HOSTS = 64
SPARE_HOSTS = 2
TRIES = 3
"""How often an operation is given to a host: once, and again when the host died under it."""
HEALTH_SECONDS = 5.0
SETTLED_AT_ONCE = 100
SETTLE_AGAIN_SECONDS = 1.0
STUCK_SECONDS = 30.0
"""A host that does not answer for so long is killed; Ray starts it again."""


class Fleet:
    """Agents, hosts and shards of one data directory.

    Args:
        options: how to run them.
        providers: model providers, with their keys.
    """

    store: Store
    archives: Archives
    recall: Recall

    def __init__(self, options: Options, providers: list[Provider]) -> None:
        # The hosts get a copy: the server's settings have more in them, its password for one.
        self.options = Options(**options.model_dump(include=set(Options.model_fields)))
        self._providers = providers
        self._models = Models(
            providers,
            calls=options.model_calls,
            timeout=options.model_timeout,
            retries=options.model_retries,
        )
        self._directory: Directory
        self._hosts: list[Any] = []
        self._running: set[str] = set()
        """The runs that somebody waits for."""
        self._watch: asyncio.Task[None] | None = None
        self._embedding: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._closing = False

    # life

    async def start(self, progress: Callable[[str], None]) -> None:
        """Start Ray, open the shards and start the hosts; what a killed server left open is seen to in the
        background.

        Raises:
            StoreError: a shard cannot be opened; the message says which file and what to do.
        """
        options = self.options
        directory = options.data.expanduser()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        progress("Joining the Ray cluster" if options.ray_address else "Starting Ray")
        cluster.start(options.ray_address, directory)
        progress(f"Opening the store in {directory}")
        self.store = Store(await self._open_shards(directory))
        self.archives = Archives(self.store, self._models)
        self.recall = Recall(self.store, self._models, options.default_embedding)
        dedicated = options.agents_per_actor == 1
        count = options.hosts or (DEDICATED_HOSTS if dedicated else max(1, (os.cpu_count() or 2) // 2))
        progress("Starting hosts")
        if dedicated:
            self._directory = Dedicated(self.store, self._launch, count, SPARE_HOSTS)
        else:
            self._directory = Partitions(self.store, self._launch, count)
        await self._directory.start()
        self._settle_soon()
        self._watch = asyncio.create_task(self._watch_hosts())
        embedder = MessageEmbedder(self.store, self._models, options.default_embedding)
        self._embedding = asyncio.create_task(embedder.run())

    async def close(self) -> None:
        """Let running steps finish within ``drain_seconds``, commit, and end every process."""
        self._closing = True
        for task in (self._watch, self._embedding, *self._settling):
            if task:
                task.cancel()
        channels = self._directory.channels if hasattr(self, "_directory") else []
        await asyncio.gather(*(channel.drain(self.options.drain_seconds) for channel in channels))
        await asyncio.gather(*(channel.close() for channel in channels))
        await self._models.close()
        if hasattr(self, "store"):
            closed = [shard.close.remote() for shard in self.store.shards]
            await asyncio.gather(*closed, return_exceptions=True)
        for actor in [*self._hosts, *(self.store.shards if hasattr(self, "store") else [])]:
            cluster.kill(actor)
        cluster.stop(self.options.data.expanduser())

    async def _open_shards(self, directory: Path) -> list[Any]:
        actor = cluster.actor(ShardActor)
        count = self.options.shards
        shards = [
            actor.options(name=f"shard-{index}", scheduling_strategy=cluster.here()).remote(
                directory / f"shard-{index}.duckdb", index, count
            )
            for index in range(count)
        ]
        try:
            await asyncio.gather(*(shard.process.remote() for shard in shards))
        except ray.exceptions.ActorDiedError as error:
            raise _cause(error) from None
        return shards

    def _launch(self, name: str, hand_over: Callable[[Channel], Awaitable[None]]) -> Channel:
        actor = cluster.actor(Host, concurrency_groups={"control": 2}).options(scheduling_strategy="SPREAD")
        host = actor.remote(name, self.options, self._providers)
        self._hosts.append(host)
        return Channel(host, hand_over, self._announce, self._settle_soon)

    def _settle_soon(self) -> None:
        task = asyncio.create_task(self._settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self) -> None:
        """Wake the agents whose runs were open when a process died: what was acknowledged before it
        ran goes on, and what nobody has asked for again is closed."""
        query = RunQuery(statuses=["created", "running"], limit=SETTLED_AT_ONCE)
        while not self._closing and (runs := await self.store.runs(query)):
            left: dict[str, list[str]] = {run.agent_id: [] for run in runs}
            for run in runs:
                if run.id not in self._running:
                    left[run.agent_id].append(run.id)
            await asyncio.gather(*(self._settle_agent(*each) for each in left.items()))
            query = query.model_copy(update={"after": runs[-1].id})

    async def _settle_agent(self, agent_id: str, left: list[str]) -> None:
        while not self._closing:
            try:
                await self._ask("settle", agent_id, left)
            except NotFound:
                return  # It was deleted since.
            except (Busy, Unavailable) as error:
                log.warning("Agent %s could not be woken yet: %s", agent_id, error)
                await asyncio.sleep(SETTLE_AGAIN_SECONDS)
            else:
                return

    async def _watch_hosts(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_SECONDS)
            await asyncio.gather(*(self._watch_host(channel.host) for channel in self._directory.channels))

    async def _watch_host(self, host: Any) -> None:
        try:
            health = await asyncio.wait_for(_plain(host.health.remote()), STUCK_SECONDS)
            stuck = health["lag_seconds"] > STUCK_SECONDS
        except TimeoutError:
            stuck = True
        except ray.exceptions.RayActorError:
            return  # Its channel sees that too, and restores it.
        if stuck:
            log.warning("A host has been stuck for %d seconds; starting it again", STUCK_SECONDS)
            ray.kill(host, no_restart=False)

    # agents

    async def create_agent(self, state: State, blocks: list[Block]) -> None:
        """Store a new agent together with the blocks made for it.

        Args:
            state: ``state.agent.block_ids`` names new blocks and existing ones to attach.
            blocks: the new ones; their ids share the agent's slot.
        """
        new = {block.id for block in blocks}
        for block_id in state.agent.block_ids:
            if block_id not in new:
                await self._share(block_id)
        writes = [BlockWrite(block, None) for block in blocks]
        await self.store.commit(
            Entry("create", state.agent.id, 0, 0, state.pack(), key=state.agent.id, blocks=writes)
        )

    async def agent(self, agent_id: str) -> Loaded:
        """An agent as of its last commit. Raises NotFound."""
        return await self.store.load(agent_id)

    async def agents(self, ids: list[str]) -> list[Loaded]:
        return await self.store.load_many(ids)

    async def find_agents(self, query: AgentQuery) -> list[Loaded]:
        return await self.store.load_many(await self.store.find_agents(query))

    async def edit_agent(self, agent_id: str, edit: AgentEdit) -> Loaded:
        """Change an agent, awake or not. Raises NotFound, Conflict."""
        for block_id in [*edit.attach_blocks, *edit.set.get("block_ids", [])]:
            await self._share(block_id)
        loaded: Loaded = await self._ask("edit", agent_id, edit)
        return loaded

    async def delete_agent(self, agent_id: str) -> None:
        await self._ask("delete", agent_id)

    async def cancel(self, agent_id: str, run_ids: list[str] | None) -> dict[str, str]:
        """Cancel an agent's runs, all or those named; answers what became of each."""
        outcome: dict[str, str] = await self._ask("cancel", agent_id, run_ids)
        return outcome

    async def compact(self, agent_id: str, request: CompactRequest) -> Compacted:
        """Summarise an agent's older messages; waits behind its runs.

        Raises:
            InvalidArgument: there is nothing to summarise, or it would save nothing.
        """
        compacted: Compacted = await self._ask("compact", agent_id, request)
        return compacted

    async def send(self, agent_id: str, request: SendRequest) -> AsyncIterator[Event]:
        """Give an agent messages and yield what it does, up to ``Ended`` or ``Failed``.

        When the agent's host dies, the request is given to its successor, which goes on from the
        last committed step; messages that were yielded before are not yielded again.

        Raises:
            Busy: too many requests are in progress.
        """
        if len(self._running) >= self.options.in_flight:
            raise Busy(f"{self.options.in_flight} requests are in progress; try again in a moment.")
        self._running.add(request.run_id)
        seen: set[str] = set()
        try:
            for attempt in range(TRIES):
                try:
                    async for event in await self._open("send", agent_id, request, again=attempt > 0):
                        if isinstance(event, Failed) and isinstance(event.error, Moved):
                            break
                        if isinstance(event, Delta):
                            seen.add(event.message_id)
                        if isinstance(event, Made):
                            if event.message.id in seen:
                                continue
                            seen.add(event.message.id)
                        assert not isinstance(event, Done)
                        yield event
                        if isinstance(event, Ended | Failed):
                            return
                except HostLost:
                    continue
            yield Failed(Unavailable("The agent's host died repeatedly under this request."), request.run_id)
        finally:
            self._running.discard(request.run_id)

    async def enqueue(self, agent_id: str, request: SendRequest) -> Run:
        """Acknowledge a request before it runs. It runs in its turn, whatever dies in between."""
        run: Run = await self._ask("enqueue", agent_id, request)
        return run

    async def _open(
        self, kind: str, agent_id: str, payload: Any = None, *, again: bool = False
    ) -> AsyncIterator[Event | Done]:
        if self._closing:
            raise Unavailable("The server is shutting down.")
        channel = await self._directory.locate(agent_id)
        return channel.ask(kind, agent_id, payload, again=again)

    async def _ask(self, kind: str, agent_id: str, payload: Any = None) -> Any:
        for attempt in range(TRIES):
            try:
                async for event in await self._open(kind, agent_id, payload, again=attempt > 0):
                    if isinstance(event, Done):
                        return event.value
                    if isinstance(event, Failed) and not isinstance(event.error, Moved):
                        raise event.error
            except HostLost:
                continue
        raise Unavailable("The agent's host died repeatedly under this request.")

    # blocks

    async def edit_block(self, block_id: str, changes: dict[str, Any]) -> Block:
        """Change a block's fields; every agent that has it sees them at its next step."""
        block = await self.store.edit_block(block_id, changes)
        await self._tell(None, block)
        return block

    async def delete_block(self, block_id: str) -> None:
        """Delete a block; agents lose it."""
        await self.edit_block(block_id, {"deleted": True})

    async def _share(self, block_id: str) -> None:
        block = await self.store.block(block_id)
        if not block.shared:
            await self.edit_block(block_id, {"shared": True})

    async def _announce(self, source: Channel, announcement: Announcement) -> None:
        if announcement.block:
            await self._tell(source, announcement.block)
        if announcement.request:
            try:
                await self.enqueue(announcement.agent_id, announcement.request)
            except GreenroomError as error:
                log.warning("Agent %s was not told: %s", announcement.agent_id, error)

    async def _tell(self, source: Channel | None, block: Block) -> None:
        """Tell the hosts about a block's new version. One that is being started again has no agents in
        memory, and must not be waited for: it may itself be waiting for another."""
        others = [each for each in self._directory.channels if each is not source and each.is_ready]
        await asyncio.gather(*(_told(channel, block) for channel in others))

    # inspection

    async def metrics(self) -> dict[str, float]:
        """Figures of all hosts and shards, added up."""
        totals: dict[str, float] = {
            "requests_running": len(self._running),
            "hosts": len(self._directory.channels),
        }
        health = await asyncio.gather(
            *(_plain(channel.host.health.remote()) for channel in self._directory.channels),
            return_exceptions=True,
        )
        figures = [each for each in health if isinstance(each, dict)]
        for each in [*figures, *await self.store.stats()]:
            for name, value in each.items():
                if name != "pid":
                    totals[name] = totals.get(name, 0) + value
        return totals


async def _told(channel: Channel, block: Block) -> None:
    try:
        async for _ in channel.ask("refresh", "", block):
            pass
    except HostLost:
        pass  # Its agents are gone from memory; they load the new version.


async def _plain(reference: Awaitable[Any]) -> Any:
    return await reference


def _cause(error: Exception) -> GreenroomError:
    """The store's own error behind an actor that could not start."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GreenroomError):
            return cause
        cause = cause.__cause__
    return StoreError(str(error))
