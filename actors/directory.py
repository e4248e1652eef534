"""Which host an agent lives on.

Two ways to share a fleet out, behind one method, :meth:`locate`. *Partitions*: the slots of agent ids
are divided among a fixed number of hosts, so that a million agents need no entry each. *Dedicated*:
every agent that is awake has a host of its own.

Either way the store knows who owns what: taking over writes a new epoch to the shard, and the shard
refuses commits under an older one. Two hosts can believe that they own an agent; only one can commit.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import ray

from actors.channel import Channel
from actors.store import Store
from storage.errors import Busy, GreenroomError
from storage.ids import SLOTS, slot_of

Launch = Callable[[str, Callable[[Channel], Awaitable[None]]], Channel]
"""Starts a host: its name, and what gives it its own whenever it was started."""


class Directory(Protocol):
    async def start(self) -> None: ...

    async def locate(self, agent_id: str) -> Channel: ...

    @property
    def channels(self) -> list[Channel]: ...


class Partitions:
    """Each host owns a range of slots.

    Args:
        count: how many hosts.
    """

    def __init__(self, store: Store, launch: Launch, count: int) -> None:
        self._store = store
        self._launch = launch
        self._count = count
        self._names: dict[Channel, int] = {}
        self.channels: list[Channel] = []

    async def start(self) -> None:
        for index in range(self._count):
            channel = self._launch(f"host-{index}", self._take_over)
            self._names[channel] = index
            self.channels.append(channel)
        await asyncio.gather(*(channel.ready() for channel in self.channels))

    async def locate(self, agent_id: str) -> Channel:
        """The channel to the agent's host."""
        return self.channels[slot_of(agent_id) * self._count // SLOTS]

    async def _take_over(self, channel: Channel) -> None:
        index = self._names[channel]
        slots = [slot for slot in range(SLOTS) if slot * self._count // SLOTS == index]
        await channel.host.own.remote(await self._store.claim(slots, f"host-{index}"))


@dataclass(slots=True)
class Binding:
    """A host that has been given to an agent."""

    channel: Channel
    owned: asyncio.Future[None]
    """Done when the host may commit for the agent."""


class Dedicated:
    """Each agent that is awake has a host to itself; hosts are started ahead and used again.

    Args:
        limit: hosts, at most. Beyond it the agent that was used longest ago makes room.
        spares: hosts kept ready, because starting one takes the better part of a second.
    """

    def __init__(self, store: Store, launch: Launch, limit: int, spares: int) -> None:
        self._store = store
        self._launch = launch
        self._limit = limit
        self._spares = min(spares, limit)
        self._free: list[Channel] = []
        self._bound: OrderedDict[str, Binding] = OrderedDict()
        self._binding = asyncio.Lock()
        self._owning: dict[Channel, asyncio.Lock] = {}
        self.channels: list[Channel] = []

    async def start(self) -> None:
        self._refill()

    async def locate(self, agent_id: str) -> Channel:
        """The channel to the agent's host; binds one if it has none.

        Raises:
            Busy: every host has an agent with work in progress.
        """
        binding = self._bound.get(agent_id) or await self._bind(agent_id)
        self._bound.move_to_end(agent_id)
        try:
            await asyncio.shield(binding.owned)
        except ray.exceptions.RayActorError:
            pass  # It died. Its channel restores it and has what is asked for now wait.
        except GreenroomError:
            if self._bound.get(agent_id) is binding:
                self._free.append(self._bound.pop(agent_id).channel)
            raise
        return binding.channel

    async def _bind(self, agent_id: str) -> Binding:
        async with self._binding:
            if agent_id not in self._bound:
                channel = await self._room()
                self._bound[agent_id] = Binding(channel, asyncio.ensure_future(self._own(channel)))
                self._refill()
            return self._bound[agent_id]

    async def _room(self) -> Channel:
        if not self._free and len(self._bound) < self._limit:
            self._add()
        if self._free:
            return self._free.pop()
        for agent_id, binding in list(self._bound.items()):
            if binding.owned.done() and not binding.channel.in_flight:
                # Whoever asks for this agent now waits until it is decided.
                del self._bound[agent_id]
                if await _released(binding.channel, agent_id):
                    return binding.channel
                self._bound[agent_id] = binding
        raise Busy(f"All {self._limit} hosts are at work; raise --hosts or try again.")

    def _refill(self) -> None:
        while len(self._free) < self._spares and len(self._free) + len(self._bound) < self._limit:
            self._add()

    def _add(self) -> None:
        channel = self._launch(f"host-{len(self.channels)}", self._own)
        self._owning[channel] = asyncio.Lock()
        self.channels.append(channel)
        self._free.append(channel)

    async def _own(self, channel: Channel) -> None:
        # One after the other, so that the host is not left with an older claim than the store has.
        async with self._owning[channel]:
            mine = [agent_id for agent_id, each in self._bound.items() if each.channel is channel]
            await channel.host.own.remote(await self._store.claim(mine, "dedicated"))


async def _released(channel: Channel, agent_id: str) -> bool:
    try:
        released: bool = await channel.host.release.remote(agent_id)
    except ray.exceptions.RayActorError:
        return False
    return released
