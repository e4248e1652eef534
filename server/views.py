"""Records as API objects, where that takes more than the record itself."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from actors import compiled
from actors.tools.builtin import BY_ID
from server.wire.agents import AgentState, agent_state
from server.wire.common import PageParams
from storage.commits import Loaded
from storage.queries import MessageQuery
from storage.records import Agent, Message, Tool

if TYPE_CHECKING:
    from actors.fleet import Fleet


def tools_of(agent: Agent) -> list[Tool]:
    """The tools that are attached to an agent, in the order of attachment."""
    return [BY_ID[tool_id] for tool_id in agent.tool_ids if tool_id in BY_ID]


def view(loaded: Loaded, include: frozenset[str]) -> AgentState:
    """An agent with what is to be included of its relationships."""
    tools = tools_of(loaded.state.agent) if "agent.tools" in include else []
    return agent_state(loaded, include, tools)


async def check_cursors(query: PageParams, find: Callable[[str], Awaitable[object]]) -> None:
    """Raises NotFound, as ``find`` does, for a cursor that is not there."""
    query.page()
    for cursor in (query.before, query.after):
        if cursor is not None:
            await find(cursor)


async def current_prompt(fleet: "Fleet", loaded: Loaded) -> str:
    """The system prompt that the agent's next step would have."""
    state, blocks = loaded.state, loaded.blocks
    if compiled.is_current(state, blocks):
        return state.context[0].text()
    return compiled.system_text(state, blocks, await fleet.archives.contents(state.agent))


async def with_current_prompt(fleet: "Fleet", agent_id: str, messages: list[Message]) -> list[Message]:
    """The same messages, the agent's system message with the text that its next step would have.

    Stored is what the last step had; memory may have changed since.
    """
    if all(message.role != "system" for message in messages):
        return messages
    loaded = await fleet.agent(agent_id)
    system = loaded.state.context[0]
    current = system.model_copy(update={"content": await current_prompt(fleet, loaded)})
    return [current if message.id == system.id else message for message in messages]


async def find_messages(fleet: "Fleet", query: PageParams, **where: Any) -> list[Message]:
    """A page of messages in the order asked for, with cursors that follow that order.

    Storage knows its cursors as older and newer and answers oldest first, whatever the order.

    Args:
        where: further fields of :class:`storage.records.MessageQuery`.
    """
    page = query.page()
    if query.descending:
        page["after"], page["before"] = page["before"], page["after"]
    if query.before is not None and query.after is None:
        # What stands before a cursor is wanted from the cursor backwards.
        page["descending"] = not page["descending"]
    found = await fleet.store.messages(MessageQuery(**page, **where))
    return found[::-1] if query.descending else found
