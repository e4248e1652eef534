"""The step loop: call the model, run the tools it asks for, commit both as one step; go on until
the agent has answered."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from actors import compaction, compiled
from actors.archival import ArchivalMemory
from actors.models import Completion, ContextWindowExceeded, ModelError, ModelRequest, count
from actors.offer import Offer, model_request
from actors.packing import pack_heartbeat
from actors.pieces import Pieces
from actors.protocol import Announcement, Ended, Failed, Made, SendRequest
from actors.sleeptime import after_run
from actors.tools import Memory, ToolContext, execute
from actors.tools.execute import failed
from actors.tools.memory_tools import MEMORY_TOOLS
from actors.turns import Next, Turn, after_heartbeat_step, after_plain_step
from storage.commits import BlockWrite, Delta
from storage.errors import ArchiveGone, GreenroomError, StaleBlock
from storage.ids import new_id, slot_of
from storage.records import LlmConfig, Message, Run, RunStatus, Step, StopReason, ToolCall, ToolReturn, now

if TYPE_CHECKING:
    from actors.agent import Agent, Emit

log = logging.getLogger(__name__)
T = TypeVar("T")

COMPACTIONS = 3
"""How often one step's prompt is made shorter before the run fails."""
_COMPLETED = ("end_turn", "max_steps", "tool_rule", "requires_approval")


class Cancelled(GreenroomError):
    """The run was cancelled."""

    code = "cancelled"


class Loop:
    """One run of one agent.

    Args:
        agent: whose turn it is. If its open run is the request's, that run goes on.
        request: the input and its options.
        emit: takes the run's events.
    """

    def __init__(self, agent: "Agent", request: SendRequest, emit: "Emit") -> None:
        self._agent = agent
        self._request = request
        self._emit = emit
        self._reason: GreenroomError | None = None
        self._work: asyncio.Task[Any] | None = None
        self._over = asyncio.Event()
        state = agent.state
        self._llm: LlmConfig = request.override_llm or state.agent.llm_config
        self._offer = Offer(state.agent)
        self._kind, self._tools, self._rules = self._offer.kind, self._offer.tools, self._offer.rules
        self._called: list[str] = []
        self._output: str | None = None
        self._made: list[Message] = []
        self._shown: set[str] = set()
        self._compacted = False
        self._full = False
        """Whether the last step nearly filled the context window."""
        self._errands: list[tuple[str, SendRequest]] = []
        """Requests to other agents that this run ends with."""
        self._archival = ArchivalMemory(state.agent, agent.archives)
        self._inputs: list[Message] = []
        """Messages that are committed together with the next step."""
        self._system = state.context[0]
        """The stored system message when the model was last called."""
        if state.run and state.run.id == request.run_id:
            self.run = state.run
            self._take_up([each for each in state.context if each.run_id == self.run.id])
        else:
            queued = next((each.run for each in state.queued if each.run.id == request.run_id), None)
            new = queued or Run(
                id=request.run_id,
                agent_id=agent.id,
                status="created",
                created_at=now(),
                background=request.background,
                request=request.request_config,
                metadata=request.metadata,
            )
            self.run = new.model_copy(update={"status": "running"})
            self._inputs = list(request.messages)
            for message in self._inputs:
                message.tokens = count(message.text(), self._llm.model)

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def go(self) -> None:
        """Run to the end. Every way out is committed, then emitted."""
        try:
            for message in self._made:
                self._show(message)
            while not self.run.ended:
                await self._step()
            await self._end()
        except Cancelled:
            self._emit(Ended(self.run, self._made), last=True)
        except GreenroomError as error:
            self._emit(Failed(error, self.run.id), last=True)
        finally:
            self._over.set()

    async def _end(self) -> None:
        if self._full and self._request.compaction_messages:
            await self._tidy()
        for agent_id, request in self._errands:
            self.announce(Announcement(agent_id=agent_id, request=request))
        self._emit(Ended(self.run, self._made, [request.run_id for _, request in self._errands]), last=True)
        if self._full:
            # The user need not wait for this; only the next message does.
            await self._tidy()

    async def _tidy(self) -> None:
        """Make room in the context after a run. The run is over, whatever becomes of this."""
        try:
            await self._compact("post_step_context_check")
        except GreenroomError as error:
            log.warning("The context of agent %s could not be made smaller: %s", self._agent.id, error)

    @property
    def _clears(self) -> bool:
        """Whether nothing of a run stays in the context."""
        return self._agent.state.agent.message_buffer_autoclear or self._kind.autoclear

    def announce(self, announcement: Announcement) -> None:
        """Have others told something, before this run is answered."""
        self._emit(announcement, last=False)

    async def interrupt(self, reason: GreenroomError) -> None:
        """End the run early; returns when that is committed."""
        self.stop(reason)
        await self._over.wait()

    def stop(self, reason: GreenroomError) -> None:
        """End the run early, at the next point where nothing is half done."""
        self._reason = reason
        if self._work:
            self._work.cancel()

    async def _interruptible(self, work: Coroutine[Any, Any, T]) -> T:
        if self._reason:
            work.close()
            raise self._reason
        task: asyncio.Task[T] = asyncio.create_task(work)
        self._work = task
        try:
            return await task
        except asyncio.CancelledError:
            if self._reason:
                raise self._reason from None
            raise
        finally:
            self._work = None

    # one step

    async def _step(self) -> None:
        """One model call with its tools, committed."""
        step = Step(
            id=new_id("step", self._agent.id),
            run_id=self.run.id,
            agent_id=self._agent.id,
            created_at=now(),
            model=self._llm.model,
            model_handle=self._llm.handle,
            model_endpoint=self._llm.model_endpoint,
            provider_name=self._llm.provider_name,
            context_window=self._llm.context_window,
        )
        answer = Message(
            id=new_id("message", self._agent.id),
            role="assistant",
            created_at=step.created_at,
            run_id=self.run.id,
            step_id=step.id,
        )
        pieces = Pieces(answer, lambda piece: self._emit(piece, last=False))
        started = time.perf_counter_ns()
        try:
            prompt, completion = await self._ask(pieces)
            step.llm_ns = time.perf_counter_ns() - started
            step.usage = completion.usage
            self.run.ttft_ns = self.run.ttft_ns or pieces.first_ns or step.llm_ns
            self._write(answer, completion)
            if pieces.any:
                self._shown.add(answer.id)
            elif answer.tool_calls:
                self._show(answer)
            returns = await self._interruptible(self._run_tools(answer.tool_calls))
            step.step_ns = time.perf_counter_ns() - started
            step.tool_ns = step.step_ns - step.llm_ns
            await self._commit(step, answer, completion, returns, prompt)
        except Cancelled:
            await self._end_early(step, "cancelled", "cancelled", [*self._inputs, *pieces.partial()])
            raise
        except ModelError as error:
            await self._end_early(step, "failed", "llm_api_error", error=error)
            raise
        except compaction.SystemPromptTooLong as error:
            await self._end_early(step, "failed", "context_window_overflow_in_system_prompt", error=error)
            raise
        except GreenroomError as error:
            await self._end_early(step, "failed", "error", error=error)
            raise
        except Exception as error:
            log.exception("A step of agent %s failed", self._agent.id)
            unknown = GreenroomError("An unknown error occurred")
            await self._end_early(step, "failed", "error", error=unknown)
            raise unknown from error

    async def _ask(self, pieces: Pieces) -> tuple[Delta, Completion]:
        """Call the model; answers with what it was told as a system prompt, too. A prompt that does
        not fit is made shorter."""
        self._archival = ArchivalMemory(self._agent.state.agent, self._agent.archives)
        if not compiled.is_current(self._agent.state, self._agent.blocks):
            await self._agent.count_archival()
        compactions = 0
        if self._full or self._too_long():
            due: compaction.Trigger = "post_step_context_check" if self._full else "context_window_exceeded"
            compactions += await self._compact(due)
        while True:
            self._system = self._agent.state.context[0]
            prompt = Delta(system=self._agent.system(), compiled=compiled.versions(self._agent.blocks))
            request = self._model_request(prompt.system or "")
            streamed = self._request.reply == "tokens"
            try:
                work = self._agent.models.complete(request, pieces if streamed else None)
                return prompt, await self._interruptible(work)
            except ContextWindowExceeded:
                compactions += 1
                if compactions > COMPACTIONS or not await self._compact("context_window_exceeded"):
                    raise

    def _model_request(self, system: str) -> ModelRequest:
        return model_request(
            self._agent.state,
            self._request.override_system or system,
            self._inputs,
            self._llm,
            self._offer,
            called=self._called,
            output=self._output,
        )

    def _too_long(self) -> bool:
        size = compaction.context_tokens(self._agent.state, self._agent.system(), self._schemas())
        return size + sum(message.tokens for message in self._inputs) > self._llm.context_window

    async def _compact(self, trigger: compaction.Trigger) -> bool:
        """Summarise older messages; answers whether there were any."""
        self._full = False
        settings = compaction.Settings.of(self._agent.state.agent)
        if trigger == "context_window_exceeded" and self._compacted:
            # What stays under these settings is still too long.
            settings.mode = "all"
        self._compacted = True
        work = compaction.Compaction(self._agent, self._llm, self._schemas(), settings)
        done = await self._interruptible(work.make(self.run, trigger))
        if done and self._request.compaction_messages:
            self._made.append(done.summary)
            self._show(done.summary)
        return done is not None

    def _schemas(self) -> list[dict[str, Any]]:
        return self._offer.schemas(self._called, self._output)

    def _write(self, answer: Message, completion: Completion) -> None:
        answer.content = completion.text or None
        answer.reasoning = completion.reasoning
        answer.reasoning_signature = completion.reasoning_signature
        answer.tool_calls = completion.tool_calls
        answer.tokens = completion.usage.completion_tokens

    # tools

    async def _run_tools(self, calls: list[ToolCall]) -> dict[str, ToolReturn]:
        """Run the calls that do not edit memory; the others run when the step is committed."""
        returns: dict[str, ToolReturn] = {}
        together: list[ToolCall] = []
        parallel = self._llm.parallel_tool_calls and not self._rules.orders
        allowed = self._offer.allowed(self._called, self._output)
        for call in calls:
            tool = self._tools.get(call.name)
            if tool and call.name not in allowed:
                returns[call.id] = self._rules.refuse(call, allowed)
            elif tool and call.name in MEMORY_TOOLS:
                continue
            elif tool and parallel and tool.enable_parallel_execution:
                together.append(call)
            else:
                returns[call.id] = await self._execute(call)
        done = await asyncio.gather(*(self._execute(call) for call in together))
        return returns | {each.tool_call_id: each for each in done}

    async def _execute(self, call: ToolCall, memory: Memory | None = None) -> ToolReturn:
        prefilled = self._rules.prefilled(call.name, self._called)
        if prefilled:
            call = self._rules.with_arguments(call, prefilled)
        agent = self._agent.state.agent
        context = ToolContext(
            agent=agent,
            memory=memory or Memory(self._agent.blocks, self._agent.id),
            archival=self._archival,
            search=partial(self._agent.recall.search, agent=agent),
            tools=self._tools,
        )
        return await execute(call, context)

    # committing

    async def _commit(
        self,
        step: Step,
        answer: Message,
        completion: Completion,
        returns: dict[str, ToolReturn],
        prompt: Delta,
    ) -> None:
        """Run the memory tools on the blocks as they are now, and commit everything the step did.

        A block that someone else changed in between is read again, and its edits are made again.
        """
        agent, calls = self._agent, answer.tool_calls
        async with agent.lock:
            returns = await self._edit_far_blocks(step, answer, returns)
            while True:
                memory = Memory(agent.blocks, agent.id)
                answers: list[ToolReturn] = []
                writes: list[BlockWrite] = []
                for call in calls:
                    answers.append(returns.get(call.id) or await self._execute(call, memory))
                    writes += memory.writes(self._signature(step, answer, call))
                turn = Turn(
                    calls=calls,
                    returns=answers,
                    called=[*self._called, *self._rules.accepted(answers)],
                    finish_reason=completion.finish_reason,
                    last=self.run.steps + 1 >= self._request.max_steps,
                )
                after = after_heartbeat_step if self._kind.heartbeats else after_plain_step
                delta = self._delta(step, answer, answers, after(turn, self._rules), prompt)
                if [block.id for block in memory.blocks] != agent.state.agent.block_ids:
                    delta.agent["block_ids"] = [block.id for block in memory.blocks]
                if delta.run and delta.run.ended:
                    group, self._errands = after_run(agent.state, delta.messages)
                    if group:
                        delta.agent["group"] = group.model_dump(mode="json")
                try:
                    documents = self._archival.attach(agent.state.agent, delta)
                    await self._tell_of_archival(delta)
                    await agent.commit(delta, writes, documents, self._archival.passages)
                    break
                except StaleBlock:
                    await agent.refresh_blocks()
                except ArchiveGone as error:
                    returns |= self._not_inserted(calls, error)
        assert delta.run
        self.run = delta.run
        self._full = compaction.is_due(step.usage.total_tokens, self._llm)
        self._called, self._inputs = turn.called, []
        self._output = answers[-1].content if answers else None
        for message in delta.messages:
            if message.role in ("assistant", "tool"):
                self._made.append(message)
                self._show(message)

    async def _tell_of_archival(self, delta: Delta) -> None:
        """Put into the system prompt what the step adds to the archive."""
        if self._archival.changed:
            self._agent.archival = await self._archival.contents(self._agent.state.agent)
            compiled.recompile(self._agent.state, delta, self._agent.blocks, self._agent.archival)

    def _not_inserted(self, calls: list[ToolCall], error: ArchiveGone) -> dict[str, ToolReturn]:
        """What the model is told when the archive went away before the step could be committed."""
        self._archival.forget()
        inserts = [call for call in calls if call.name == "archival_memory_insert"]
        return {call.id: failed(call, f"{error} Nothing was inserted; try again.") for call in inserts}

    def _delta(
        self, step: Step, answer: Message, returns: list[ToolReturn], after: Next, prompt: Delta
    ) -> Delta:
        state = self._agent.state
        messages = [*self._inputs, answer]
        if returns:
            tokens = sum(count(each.content, step.model) for each in returns)
            messages.append(
                self._message("tool", step, tool_returns=returns, name=returns[0].name, tokens=tokens)
            )
        if text := after.nudge:
            if self._kind.heartbeats:
                text = pack_heartbeat(text, now(), state.agent.timezone)
            messages.append(self._message("user", step, content=text, tokens=count(text, step.model)))
        run = self.run.model_copy(update={"steps": self.run.steps + 1, "usage": self.run.usage + step.usage})
        step.stop_reason = after.stop
        if after.stop:
            run = closed(run, "completed" if after.stop in _COMPLETED else "failed", after.stop)
        delta = Delta(messages=messages, run=run, step=step)
        # If it is another one by now, an edit has compiled it anew.
        if state.context[0] is self._system and prompt.system != self._system.content:
            delta.system, delta.compiled = prompt.system, prompt.compiled
        if after.stop and self._clears:
            delta.context = [state.context[0].id]
        return delta

    def _message(self, role: Any, step: Step, **fields: Any) -> Message:
        return Message(
            id=new_id("message", self._agent.id),
            role=role,
            created_at=now(),
            run_id=self.run.id,
            step_id=step.id,
            **fields,
        )

    def _signature(self, step: Step, answer: Message, call: ToolCall) -> dict[str, str]:
        """What a block's new version says about where it is from."""
        return {
            "agent_id": self._agent.id,
            "run_id": self.run.id,
            "step_id": step.id,
            "message_id": answer.id,
            "tool_call_id": call.id,
        }

    async def _edit_far_blocks(
        self, step: Step, answer: Message, returns: dict[str, ToolReturn]
    ) -> dict[str, ToolReturn]:
        """Run the memory calls that touch a block of another shard. Such an edit cannot be in the
        same transaction as the step, so it is committed by itself, before it."""
        agent, shards = self._agent, len(self._agent.store.shards)
        home = slot_of(agent.id) % shards
        if all(slot_of(block.id) % shards == home for block in agent.blocks):
            return returns
        returns = dict(returns)
        for call in answer.tool_calls:
            while call.id not in returns:
                memory = Memory(agent.blocks, agent.id)
                result = await self._execute(call, memory)
                writes = memory.writes(self._signature(step, answer, call))
                if all(slot_of(write.block.id) % shards == home for write in writes):
                    break
                try:
                    await agent.commit_blocks(writes)
                except StaleBlock:
                    await agent.refresh_blocks()
                    continue
                returns[call.id] = result
        return returns

    # around the steps

    async def _end_early(
        self,
        step: Step,
        status: RunStatus,
        reason: StopReason,
        messages: list[Message] | None = None,
        error: GreenroomError | None = None,
    ) -> None:
        """Commit the end of a run that has no answer."""
        if self._agent.gone or self.run.ended:
            return
        step.status = "cancelled" if status == "cancelled" else "failed"
        step.stop_reason = reason
        step.error_type, step.error = (error.code, error.message) if error else (None, None)
        self.run = closed(self.run, status, reason, error)
        delta = Delta(messages=messages or [], run=self.run, step=step)
        if self._clears:
            delta.context = [self._agent.state.context[0].id]
        try:
            async with self._agent.lock:
                await self._agent.commit(delta)
        except GreenroomError as problem:
            # The store keeps the run open; it is closed when the agent is loaded again.
            log.warning("The end of run %s could not be stored: %s", self.run.id, problem)

    def _take_up(self, messages: list[Message]) -> None:
        """Remember what the run did before the process it ran in died."""
        self._made = [each for each in messages if each.role in ("assistant", "tool")]
        for message in messages:
            self._called += self._rules.accepted(message.tool_returns)
            if message.tool_returns:
                self._output = message.tool_returns[-1].content

    def _show(self, message: Message) -> None:
        if self._request.reply != "result" and message.id not in self._shown:
            self._shown.add(message.id)
            self._emit(Made(message), last=False)


def closed(run: Run, status: RunStatus, reason: StopReason, error: GreenroomError | None = None) -> Run:
    """The run's final record."""
    ended = now()
    return run.model_copy(
        update={
            "status": status,
            "stop_reason": reason,
            "completed_at": ended,
            "total_duration_ns": int((ended - run.created_at).total_seconds() * 1e9),
            "error_type": error.code if error else None,
            "error": error.message if error else None,
        }
    )
