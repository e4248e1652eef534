"""A fleet whose actors live in this process: the same code without Ray, so that it starts in no time,
and a test can look into a host, or make it die at a chosen moment."""

import asyncio
import itertools
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest import mock

import ray

from actors import cluster
from actors.fleet import Fleet
from actors.host import Host
from actors.models import SCRIPTED, Catalog
from actors.options import Options
from storage.records import LlmConfig


class Method:
    def __init__(self, actor: "Actor", name: str) -> None:
        self._actor = actor
        self._name = name

    def remote(self, *arguments: Any) -> "asyncio.Task[Any]":
        return asyncio.create_task(self._actor.call(self._name, arguments))


class Actor:
    """Stands for an actor's handle. What goes in and out is copied as between processes."""

    def __init__(self, kind: type, arguments: tuple[Any, ...]) -> None:
        self._kind = kind
        self._arguments = arguments
        self._calls: set[asyncio.Task[Any]] = set()
        self.instance: Any = None
        self.start()

    def start(self) -> None:
        self.instance = self._kind(*pickle.loads(pickle.dumps(self._arguments)))

    def __getattr__(self, name: str) -> Method:
        return Method(self, name)

    async def call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        work = getattr(self.instance, name)(*pickle.loads(pickle.dumps(arguments)))
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        await asyncio.wait({task})
        if task.cancelled():
            raise ray.exceptions.ActorUnavailableError("The actor died.", None)
        return pickle.loads(pickle.dumps(task.result()))

    def die(self) -> None:
        """Die, a host in the middle of whatever it does, and be started again with nothing."""
        for task in [*self._calls, *_tasks_of(self.instance)]:
            task.cancel()
        self.start()


def _tasks_of(host: Any) -> Iterator["asyncio.Task[Any]"]:
    if isinstance(host, Host):
        yield from host._tasks
        if host._sweeper:
            yield host._sweeper
        for agent in host._agents.values():
            yield from (task for task in (agent._worker, agent._loading) if task)


@contextmanager
def without_ray() -> Iterator[None]:
    """Everything that is started inside has its actors in this process."""
    named: dict[str, Actor] = {}
    numbers = itertools.count()

    class Kind:
        def __init__(self, kind: type, **_: Any) -> None:
            self._kind = kind
            self._name = f"actor-{next(numbers)}"

        def options(self, *, name: str | None = None, **_: Any) -> "Kind":
            self._name = name or self._name
            return self

        def remote(self, *arguments: Any) -> Actor:
            named[self._name] = Actor(self._kind, arguments)
            return named[self._name]

    def end(actor: Actor) -> None:
        for task in _tasks_of(actor.instance):
            task.cancel()

    with (
        mock.patch.multiple(
            cluster, actor=Kind, start=mock.Mock(), stop=mock.Mock(), here=mock.Mock(), kill=end
        ),
        mock.patch("ray.get_actor", named.__getitem__),
    ):
        yield


@asynccontextmanager
async def small_fleet(options: Options) -> AsyncIterator[Fleet]:
    """A fleet in this process."""
    with without_ray():
        fleet = Fleet(options, [])
        try:
            await fleet.start(lambda line: None)
            yield fleet
        finally:
            await fleet.close()


def hosts(fleet: Fleet) -> list[Host]:
    return [channel.host.instance for channel in fleet._directory.channels]


async def scripted() -> LlmConfig:
    return await Catalog([]).resolve(SCRIPTED)
