"""Runs: what requests to agents caused."""

from server.routing import Routes, Server
from server.views import check_cursors, find_messages
from server.wire.common import RunId
from server.wire.messages import LettaMessage, expand_all
from server.wire.runs import (
    ACTIVE,
    ActiveRuns,
    ListRunMessages,
    ListRuns,
    ListRunSteps,
    RunResponse,
    RunUsage,
    request_options,
    run_response,
    run_usage,
)
from server.wire.send import display_of
from server.wire.steps import StepResponse, step_response
from storage.queries import RunQuery, StepQuery

routes = Routes("runs")


@routes.get("/v1/runs/")
async def list_runs(server: Server, query: ListRuns) -> list[RunResponse]:
    """List runs."""
    return [run_response(run) for run in await server.fleet.store.runs(query.storage_query())]


@routes.get("/v1/runs/active")
async def list_active_runs(server: Server, query: ActiveRuns) -> list[RunResponse]:
    """List the runs in progress."""
    agents = [query.agent_id] if query.agent_id else []
    found = RunQuery(limit=1000, agent_ids=agents, statuses=list(ACTIVE), background=query.background)
    return [run_response(run) for run in await server.fleet.store.runs(found)]


@routes.get("/v1/runs/{run_id}")
async def retrieve_run(server: Server, run_id: RunId) -> RunResponse:
    """Retrieve a run."""
    return run_response(await server.fleet.store.run(run_id))


@routes.get("/v1/runs/{run_id}/messages")
async def list_run_messages(server: Server, run_id: RunId, query: ListRunMessages) -> list[LettaMessage]:
    """List the messages of a run, its input among them."""
    run = await server.fleet.store.run(run_id)
    display = display_of(request_options(run), await server.known.type_of(run.agent_id))
    return expand_all(await find_messages(server.fleet, query, run_id=run_id), display)


@routes.get("/v1/runs/{run_id}/steps")
async def list_run_steps(server: Server, run_id: RunId, query: ListRunSteps) -> list[StepResponse]:
    """List the steps of a run."""
    await server.fleet.store.run(run_id)
    await check_cursors(query, server.fleet.store.step)
    steps = await server.fleet.store.steps(StepQuery(**query.page(), run_id=run_id))
    return [step_response(step) for step in steps]


@routes.get("/v1/runs/{run_id}/usage")
async def retrieve_run_usage(server: Server, run_id: RunId) -> RunUsage:
    """Retrieve the tokens that a run used."""
    return run_usage(await server.fleet.store.run(run_id))
