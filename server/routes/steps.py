"""Steps: single model calls with the tools they asked for."""

from server.errors import Unsupported
from server.routing import Routes, Server
from server.views import check_cursors, find_messages
from server.wire.common import StepId
from server.wire.messages import Display, LettaMessage, expand_all
from server.wire.send import speaks_in_text
from server.wire.steps import (
    ListStepMessages,
    ListSteps,
    StepMetrics,
    StepResponse,
    step_metrics,
    step_response,
)

routes = Routes("steps")


@routes.get("/v1/steps/")
async def list_steps(server: Server, query: ListSteps) -> list[StepResponse]:
    """List steps."""
    if query.trace_ids:
        raise Unsupported("Steps have no trace ids here, so they cannot be listed by them")
    await check_cursors(query, server.fleet.store.step)
    return [step_response(step) for step in await server.fleet.store.steps(query.storage_query())]


@routes.get("/v1/steps/{step_id}")
async def retrieve_step(server: Server, step_id: StepId) -> StepResponse:
    """Retrieve a step."""
    return step_response(await server.fleet.store.step(step_id))


@routes.get("/v1/steps/{step_id}/messages")
async def list_step_messages(server: Server, step_id: StepId, query: ListStepMessages) -> list[LettaMessage]:
    """List the messages that a step made."""
    step = await server.fleet.store.step(step_id)
    display = Display(text_is_assistant=speaks_in_text(await server.known.type_of(step.agent_id)))
    return expand_all(await find_messages(server.fleet, query, step_id=step_id), display)


@routes.get("/v1/steps/{step_id}/metrics")
async def retrieve_step_metrics(server: Server, step_id: StepId) -> StepMetrics:
    """Retrieve how long a step took, and what for."""
    return step_metrics(await server.fleet.store.step(step_id))
