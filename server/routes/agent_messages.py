"""Messages of an agent: send, stream, list, cancel, reset."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, cast

from aiohttp import web

from actors import agent_types
from actors.compaction import SystemPromptTooLong
from actors.models import ModelError
from actors.protocol import AgentEdit, CompactRequest, Ended, Event, Failed, SendRequest
from server import sse
from server.blueprint import input_message
from server.errors import Unsupported, reason_of
from server.model_choice import find_model
from server.routing import Routes, Server
from server.views import with_current_prompt
from server.wire.common import AgentId
from server.wire.compaction import Compaction, CompactMessages
from server.wire.messages import Display, LettaMessage, expand_all
from server.wire.send import (
    CancelRuns,
    ListMessages,
    MessageCreate,
    ResetMessages,
    SendMessages,
    SendOrStream,
    display_of,
)
from server.wire.stream import LettaResponse, Renderer, letta_response, ping, stop, usage_statistics
from storage.errors import Conflict, InvalidArgument, NotFound, Unavailable
from storage.ids import new_id
from storage.queries import MessageQuery
from storage.records import now

routes = Routes("agents.messages")


@routes.post("/v1/agents/{agent_id}/messages")
async def send_messages(
    server: Server, request: web.Request, agent_id: AgentId, body: SendOrStream
) -> LettaResponse | web.StreamResponse:
    """Send an agent messages and answer with what it does; with `streaming` while it does it.

    The run goes on when the client goes away.
    """
    if body.streaming:
        return await _stream(server, request, agent_id, body)
    send, display = await _prepare(server, agent_id, body)
    async for event in server.fleet.send(agent_id, send):
        if isinstance(event, Ended):
            return letta_response(event, display)
        if isinstance(event, Failed):
            raise event.error
    raise Unavailable("The run ended without an answer; its messages tell what it did.")


@routes.post("/v1/agents/{agent_id}/messages/stream")
async def stream_messages(
    server: Server, request: web.Request, agent_id: AgentId, body: SendMessages
) -> web.StreamResponse:
    """Send an agent messages and stream what it does."""
    body.streaming = True
    return await _stream(server, request, agent_id, body)


@routes.get("/v1/agents/{agent_id}/messages")
async def list_agent_messages(server: Server, agent_id: AgentId, query: ListMessages) -> list[LettaMessage]:
    """List the messages of an agent, those that left its context too.

    The page is the newest or, in ascending order, the oldest one; it runs from older to newer either
    way. `after` means newer and `before` older.
    """
    if query.conversation_id not in (None, "default") or query.group_id:
        raise Unsupported("Messages cannot be listed by conversation or group")
    display = display_of(query, await server.known.type_of(agent_id))
    try:
        found = await server.fleet.store.messages(MessageQuery(agent_id=agent_id, **query.page()))
    except NotFound:
        cursor = query.after or query.before
        raise NotFound(f"No message found with id '{cursor}' for agent '{agent_id}'") from None
    return expand_all(await with_current_prompt(server.fleet, agent_id, found), display)


@routes.post("/v1/agents/{agent_id}/messages/cancel")
async def cancel_runs(server: Server, agent_id: AgentId, body: CancelRuns | None) -> dict[str, str]:
    """Cancel an agent's runs, all that are active or those named, and tell what became of each."""
    await server.known.type_of(agent_id)
    outcome = await server.fleet.cancel(agent_id, body.run_ids if body else None)
    if not outcome:
        raise Conflict(f"No active runs to cancel for agent {agent_id}")
    return outcome


@routes.patch("/v1/agents/{agent_id}/reset-messages")
async def reset_messages(server: Server, agent_id: AgentId, body: ResetMessages) -> None:
    """Empty an agent's context. Its history stays, and can still be listed and searched."""
    initial = []
    if body.add_default_initial_messages:
        agent = (await server.fleet.agent(agent_id)).state.agent
        initial = agent_types.boot_messages(agent, now())
    await server.fleet.edit_agent(agent_id, AgentEdit(reset_messages=True, initial_messages=initial))


@routes.post("/v1/agents/{agent_id}/summarize")
async def compact_messages(server: Server, agent_id: AgentId, body: CompactMessages | None) -> Compaction:
    """Summarise an agent's older messages now.

    They leave its context and stay in its history. PATCH the agent with the `message_ids` that it had
    before to undo it.
    """
    settings = body.compaction_settings if body else None
    request = CompactRequest(
        run_id=new_id("run", agent_id),
        settings=settings.given() if settings else {},
        llm=await find_model(server, settings.model) if settings and settings.model else None,
    )
    done = await server.fleet.compact(agent_id, request)
    return {
        "summary": done.summary.text(),
        "num_messages_before": done.before,
        "num_messages_after": done.after,
    }


async def _prepare(server: Server, agent_id: str, body: SendMessages) -> tuple[SendRequest, Display]:
    """What to ask of the agent, and how to show what it answers.

    Raises:
        NotFound: the agent or the model for this request is not there.
        InvalidArgument: the request answers a question that nobody asked.
        Unsupported: it asks for something that this server does not do.
    """
    agent_type = await server.known.type_of(agent_id)
    _check_supported(body)
    run_id = new_id("run", agent_id)
    inputs = []
    for given in body.inputs():
        if not isinstance(given, MessageCreate):
            raise InvalidArgument(
                "Cannot process approval response: No tool call is currently awaiting approval."
            )
        inputs.append(input_message(agent_id, given, run_id))
    reply: Literal["result", "steps", "tokens"] = "result"
    if body.streaming:
        reply = "tokens" if body.stream_tokens else "steps"
    send = SendRequest(
        run_id=run_id,
        messages=inputs,
        reply=reply,
        max_steps=body.max_steps,
        override_llm=await find_model(server, body.override_model) if body.override_model else None,
        override_system=body.override_system,
        compaction_messages=body.include_compaction_messages,
        metadata={"run_type": "send_message"},
        request_config=body.display_options(),
    )
    return send, display_of(body, agent_type)


def _check_supported(body: SendMessages) -> None:
    for name in ("client_tools", "client_skills", "background", "return_logprobs", "return_token_ids"):
        if getattr(body, name):
            raise Unsupported(f"`{name}` is not supported by this server")


async def _stream(
    server: Server, request: web.Request, agent_id: str, body: SendMessages
) -> web.StreamResponse:
    send, display = await _prepare(server, agent_id, body)

    def keepalive() -> sse.Frame:
        return _frame(ping(send.run_id))

    async def frames() -> AsyncGenerator[sse.Frame, None]:
        renderer = Renderer(send.run_id, display)
        if body.include_pings:
            yield keepalive()
        async for event in server.fleet.send(agent_id, send):
            for frame in _frames(event, renderer):
                yield frame
            if isinstance(event, Failed):
                raise event.error

    return await sse.stream(
        request,
        frames(),
        keepalive=server.settings.keepalive,
        ping=keepalive if body.include_pings else None,
        run_id=send.run_id,
    )


def _frames(event: Event, renderer: Renderer) -> list[sse.Frame]:
    """What the client is told about an event of its run."""
    if isinstance(event, Failed):
        # Without a frame before it, the error would be an HTTP status, and clients would send again.
        told = isinstance(event.error, ModelError | SystemPromptTooLong)
        return [_frame(stop(reason_of(event.error)))] if told else []
    frames = [_frame(message) for message in renderer.render(event)]
    if isinstance(event, Ended):
        reason = event.run.stop_reason or "end_turn"
        frames.append(_frame(stop(reason)))
        if reason != "cancelled":
            frames.append(_frame(usage_statistics(event)))
    return frames


def _frame(message: Mapping[str, Any]) -> sse.Frame:
    return cast("sse.Frame", message)
