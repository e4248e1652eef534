"""An agent in memory: its state, its mailbox, its commits."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actors import compiled
from actors.archives import Archives
from actors.compaction import Compacted, Compaction, Settings
from actors.edits import deleted_archives, plan
from actors.loop import Cancelled, Loop, closed
from actors.models import Models
from actors.offer import Offer
from actors.protocol import (
    AgentEdit,
    Announcement,
    CompactRequest,
    Done,
    Ended,
    Event,
    Failed,
    Made,
    Moved,
    SendRequest,
)
from actors.recall import Recall
from actors.store import Store
from storage.commits import BlockWrite, Delta, DocumentWrite, Entry, Loaded, QueuedRun, State, apply
from storage.errors import (
    Busy,
    GreenroomError,
    InvalidArgument,
    NotFound,
    SequenceGap,
    StaleEpoch,
    Unavailable,
)
from storage.ids import new_id
from storage.queries import MessageQuery
from storage.records import Block, Message, Passage, Run, now

log = logging.getLogger(__name__)

AGENT_BYTES = 12_000
MESSAGE_BYTES = 1_500
"""What an agent and a message take in memory besides their text; measured, rounded up."""


class Interrupted(GreenroomError):
    """The process that ran it died."""

    code = "interrupted"


class Emit(Protocol):
    def __call__(self, event: Event | Announcement | Done, last: bool) -> None: ...


@dataclass(slots=True)
class Job:
    """A request in the mailbox."""

    request: SendRequest | CompactRequest
    emit: Emit
    again: bool = False
    refused: GreenroomError | None = None
    """Why it ends as soon as it begins."""


class Agent:
    """One agent, awake. It loads itself on first use and works through its mailbox, one run at a
    time; edits and cancels do not wait behind a run.

    Args:
        agent_id: whose state to load.
        epoch: the activation's number; the store refuses our commits once there is a newer one.
        mailbox: requests that may wait.
        on_change: told when the agent's size changes and when it falls idle or is gone.
        on_block: told of a new version of a shared block that this agent committed.
        counts: the host's counters.
    """

    state: State
    blocks: list[Block]

    def __init__(
        self,
        agent_id: str,
        epoch: int,
        *,
        store: Store,
        models: Models,
        mailbox: int,
        on_change: Callable[["Agent", int], None],
        on_block: Callable[[Block], None],
        counts: dict[str, int],
        default_embedding: str | None = None,
    ) -> None:
        self.id = agent_id
        self.epoch = epoch
        self.store = store
        self.models = models
        self.counts = counts
        self.gone = False
        self.size = 0
        self.touched = time.monotonic()
        self._capacity = mailbox
        self._on_change = on_change
        self._on_block = on_block
        self._seq = 0
        self.archives = Archives(store, models)
        self.recall = Recall(store, models, default_embedding)
        self.archival = compiled.NOTHING
        """What its archive had in it when the system prompt was last compiled."""
        self._mailbox: deque[Job] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._next: Job | None = None
        """Taken from the mailbox, but not begun."""
        self._loop: Loop | None = None
        self._edits = 0
        self.lock = asyncio.Lock()
        """Held from reading the state to committing the change that follows from it."""

    # what the host asks

    @property
    def busy(self) -> bool:
        return self._worker is not None or self._edits > 0

    def touch(self) -> None:
        self.touched = time.monotonic()

    def post(self, request: SendRequest | CompactRequest, emit: Emit, *, again: bool = False) -> None:
        """Queue a request. Raises Busy when the mailbox is full."""
        self._check_room()
        self._queue(Job(request, emit, again))

    async def cancel(self, run_ids: list[str] | None) -> dict[str, str]:
        """Cancel runs in progress or waiting (all, or those named); answers what became of each."""
        outcome = dict.fromkeys(run_ids or [], "failed")
        for job in self._waiting():
            if run_ids is None or job.request.run_id in run_ids:
                job.refused = Cancelled()
                outcome[job.request.run_id] = "cancelled"
        loop = self._loop
        if loop and not loop.over and (run_ids is None or loop.run.id in run_ids):
            await loop.interrupt(Cancelled())
            outcome[loop.run.id] = "cancelled" if loop.run.status == "cancelled" else "failed"
        return outcome

    async def settle(self, left: list[str]) -> None:
        """Wake up: go on with what was acknowledged before it ran, and close what a dead process left.

        Args:
            left: runs that nobody waits for any more.
        """
        self._edits += 1
        try:
            await self.ready()
            under_way = [job.request.run_id for job in self._waiting()]
            if self._loop:
                under_way.append(self._loop.run.id)
            run = self.state.run
            if run and run.id in left and run.id not in under_way:
                await self._close_leftover(except_for=None)
        finally:
            self._edits -= 1
            self._on_change(self, 0)

    async def enqueue(self, request: SendRequest, *, again: bool = False) -> Run:
        """Commit a request, then queue it; answers its run as it is now. Raises Busy."""
        self._edits += 1
        try:
            await self.ready()
            if again and (earlier := await self._known_run(request.run_id)):
                return earlier
            self._check_room()
            run = Run(
                id=request.run_id,
                agent_id=self.id,
                status="created",
                created_at=now(),
                background=True,
                request=request.request_config,
                metadata=request.metadata,
            )
            async with self.lock:
                await self.commit(Delta(queued=[QueuedRun(run=run, request=request.model_dump(mode="json"))]))
            self._queue(Job(request, _silent))
            return run
        finally:
            self._edits -= 1
            self._on_change(self, 0)

    async def edit(self, edit: AgentEdit) -> Loaded:
        """Make the changes in one commit; answers the agent as it is then.

        Raises:
            NotFound: a block or a message is not there.
            Conflict: two blocks would have the same label.
            InvalidArgument: the messages cannot be a context.
        """
        self._edits += 1
        try:
            await self.ready()
            async with self.lock:
                change = await plan(self.state, self.blocks, edit, self.archives)
                await self.commit(change.delta, documents=change.documents)
                self.archival = change.archival
                self._keep_newest(change.blocks)
            if edit.attach_blocks or "block_ids" in edit.set:
                # Nobody told us of changes to blocks that were not ours yet.
                await self.refresh_blocks()
            return Loaded(self._seq, self.state, self.blocks)
        finally:
            self._edits -= 1
            self._on_change(self, 0)

    async def delete(self) -> None:
        """Remove the agent from the store; whatever it was doing ends."""
        await self.ready()
        await self.stop(NotFound(f"Agent {self.id} was deleted."))
        async with self.lock:
            await self._commit("delete", b"", documents=await deleted_archives(self.state.agent, self.store))
        self.gone = True

    def refresh(self, block: Block) -> None:
        """Take a newer version of a block, if it is one of ours."""
        if self._loading is None or self.gone:
            return
        if not self._loading.done():
            # The version being loaded may be the one before.
            self._loading.add_done_callback(lambda _: self.refresh(block))
            return
        self.blocks = [
            block if each.id == block.id and each.version < block.version else each
            for each in self.blocks
            if not (each.id == block.id and block.deleted)
        ]

    async def idle(self) -> None:
        """Wait until the mailbox is empty and nothing runs."""
        while self._worker:
            await asyncio.wait({self._worker})

    async def stop(self, reason: GreenroomError | None = None) -> None:
        """End what runs, committed as failed, and answer what waits."""
        reason = reason or Unavailable("The server is shutting down; send the message again later.")
        self._refuse(reason)
        if self._next:
            self._next.refused = reason
        if self._loop and not self._loop.over:
            await self._loop.interrupt(reason)
        await self.idle()

    # what the step loop asks

    async def commit(
        self,
        delta: Delta,
        writes: Sequence[BlockWrite] = (),
        documents: Sequence[DocumentWrite] = (),
        passages: Sequence[Passage] = (),
    ) -> None:
        """Make a change durable, then make it here. The lock must be held.

        Raises:
            StaleBlock: a block was changed by someone else; nothing is committed.
            ArchiveGone: the archive of the passages was deleted; nothing is committed.
            Moved: the agent lives elsewhere by now; this activation is over.
        """
        kind = "step" if delta.step else "edit"
        key = delta.step.id if delta.step else None
        await self._commit(kind, delta.pack(), writes=writes, documents=documents, passages=passages, key=key)
        apply(self.state, delta)
        for write in writes:
            self._take(write)
        # Tools attach, detach and reorder blocks too, and not all of that is a write.
        by_id = {block.id: block for block in self.blocks}
        self.blocks = [by_id[each] for each in self.state.agent.block_ids if each in by_id]
        if delta.step:
            self.counts["steps"] += 1
        self._weigh()

    async def commit_blocks(self, writes: list[BlockWrite]) -> None:
        """Make block writes durable that cannot go with a step. Raises StaleBlock."""
        for write in writes:
            await self.store.commit_block(write)
            self._take(write)

    async def refresh_blocks(self) -> None:
        """Read the current versions of our blocks."""
        self._keep_newest(await self.store.blocks(self.state.agent.block_ids))

    def system(self) -> str:
        """The system prompt for the memory as it is now."""
        return compiled.system_text(self.state, self.blocks, self.archival)

    async def count_archival(self) -> None:
        """Look again what the archive has in it, for a system prompt that is to be compiled."""
        self.archival = await self.archives.contents(self.state.agent)

    async def ready(self) -> None:
        """Wait until the state is loaded. Raises NotFound."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        await asyncio.shield(self._loading)

    # inside

    def _queue(self, job: Job) -> None:
        self._mailbox.append(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def _waiting(self) -> list[Job]:
        """The requests that have not begun."""
        return [*([self._next] if self._next else []), *self._mailbox]

    def _refuse(self, reason: GreenroomError) -> None:
        for job in self._mailbox:
            job.emit(Failed(reason, job.request.run_id), last=True)
        self._mailbox.clear()

    def _keep_newest(self, blocks: list[Block]) -> None:
        """Take these as our blocks; what we were told of while they were read may be newer."""
        ours = {block.id: block for block in self.blocks}
        self.blocks = [max(ours.get(each.id, each), each, key=lambda block: block.version) for each in blocks]

    async def _known_run(self, run_id: str) -> Run | None:
        try:
            return await self.store.run(run_id)
        except NotFound:
            return None

    def _check_room(self) -> None:
        if len(self._mailbox) >= self._capacity:
            raise Busy(f"{self._capacity} messages are waiting for agent {self.id}; send this one later.")

    async def _load(self) -> None:
        try:
            loaded = await self.store.load(self.id)
        except GreenroomError:
            self.gone = True
            raise
        self._seq, self.state, self.blocks = loaded.seq, loaded.state, loaded.blocks
        self._weigh()
        # Before what has come in since: the oldest of them may be half done.
        for queued in reversed(self.state.queued):
            self._mailbox.appendleft(Job(SendRequest.model_validate(queued.request), _silent))
        if self._mailbox and self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def _weigh(self) -> None:
        size = AGENT_BYTES + sum(len(block.value) for block in self.blocks)
        size += sum(MESSAGE_BYTES + message.tokens * 4 for message in self.state.context)
        grown, self.size = size - self.size, size
        self._on_change(self, grown)

    async def _commit(
        self,
        kind: Any,
        payload: bytes,
        *,
        writes: Sequence[BlockWrite] = (),
        documents: Sequence[DocumentWrite] = (),
        passages: Sequence[Passage] = (),
        key: str | None = None,
    ) -> None:
        entry = Entry(
            kind,
            self.id,
            self._seq + 1,
            self.epoch,
            payload,
            # Without a key of its own the commit still needs one: it is sent again when a shard dies.
            key or new_id("commit", self.id),
            list(writes),
            list(documents),
            list(passages),
        )
        try:
            await self.store.commit(entry)
        except (StaleEpoch, SequenceGap) as error:
            self.gone = True
            raise Moved from error
        self._seq += 1

    def _take(self, write: BlockWrite) -> None:
        if write.based_on is None:
            self.blocks = [*self.blocks, write.block]
        else:
            self.refresh(write.block)
        if write.block.shared:
            self._on_block(write.block)
            if self._loop:
                self._loop.announce(Announcement(block=write.block))

    # runs

    async def _work(self) -> None:
        try:
            await self.ready()
            while self._mailbox:
                await self._do(self._mailbox.popleft())
        except GreenroomError as error:
            self._refuse(error)
        finally:
            self._worker = None
            self.touch()
            self._on_change(self, 0)

    async def _do(self, job: Job) -> None:
        request = job.request
        self._next = job
        try:
            await self._close_leftover(except_for=request.run_id)
            if isinstance(request, CompactRequest):
                self._next = None
                done = None if job.refused else await self._compact(request, again=job.again)
                job.emit(Failed(job.refused, request.run_id) if job.refused else Done(done), last=True)
            elif earlier := await self._earlier(request, again=job.again):
                await self._replay(earlier, request, job.emit)
            else:
                self._loop = Loop(self, request, job.emit)
                self._next = None
                if job.refused:
                    self._loop.stop(job.refused)
                await self._loop.go()
        except GreenroomError as error:
            job.emit(Failed(error, request.run_id), last=True)
        except Exception:
            log.exception("A run of agent %s failed", self.id)
            job.emit(Failed(GreenroomError("An unknown error occurred"), request.run_id), last=True)
        finally:
            self._next = self._loop = None

    async def _close_leftover(self, *, except_for: str | None) -> None:
        async with self.lock:
            run = self.state.run
            if run and run.id != except_for:
                await self.commit(Delta(run=closed(run, "failed", "error", Interrupted())))

    async def _compact(self, request: CompactRequest, *, again: bool) -> Compacted:
        if again and await self._known_run(request.run_id):
            query = MessageQuery(agent_id=self.id, run_id=request.run_id)
            return Compacted.of((await self.store.messages(query))[-1])
        agent = self.state.agent
        run = Run(
            id=request.run_id,
            agent_id=self.id,
            status="running",
            created_at=now(),
            metadata={"run_type": "compaction"},
        )
        settings = Settings.of(agent, request.settings)
        compaction = Compaction(self, agent.llm_config, Offer(agent).schemas(), settings, request.llm)
        done = await compaction.make(closed(run, "completed", "end_turn"), "requested")
        if done is None:
            raise InvalidArgument("There are no messages in context that could be summarised.")
        return done

    async def _earlier(self, request: SendRequest, *, again: bool) -> Run | None:
        """The ended run that already answered this request, if there is one."""
        keys = self.state.keys
        first = next((keys[each.otid] for each in request.messages if each.otid in keys), None)
        if first is None and not again:
            return None
        try:
            run = await self.store.run(first or request.run_id)
        except NotFound:
            return None
        return run if run.ended else None

    async def _replay(self, run: Run, request: SendRequest, emit: Emit) -> None:
        """Answer from the store."""
        query = MessageQuery(agent_id=self.id, run_id=run.id, limit=1000, descending=False)
        made = [message for message in await self.store.messages(query) if is_output(message)]
        if run.status == "failed":
            emit(Failed(GreenroomError(run.error or ""), run.id), last=True)
            return
        if request.reply != "result":
            for message in made:
                emit(Made(message), last=False)
        emit(Ended(run, made), last=True)


def is_output(message: Message) -> bool:
    """Whether a run made the message, rather than being given it."""
    return message.role in ("assistant", "tool", "summary")


def _silent(event: Event | Announcement | Done, last: bool) -> None:
    """For runs that nobody waits for."""
