"""Messages across agents."""

from server.errors import Unsupported
from server.routing import Routes, Server
from server.views import with_current_prompt
from server.wire.common import MessageId
from server.wire.messages import Display, LettaMessage, expand, expand_all
from server.wire.send import ListMessages
from storage.queries import MessageQuery

routes = Routes("messages")


@routes.get("/v1/messages/")
async def list_messages(server: Server, query: ListMessages) -> list[LettaMessage]:
    """List messages of all agents, the newest page, oldest first."""
    if query.conversation_id not in (None, "default") or query.group_id:
        raise Unsupported("Messages cannot be listed by conversation or group")
    types = query.include_return_message_types
    display = Display(types=frozenset(types) if types is not None else None)
    return expand_all(await server.fleet.store.messages(MessageQuery(**query.page())), display)


@routes.get("/v1/messages/{message_id}")
async def retrieve_message(server: Server, message_id: MessageId) -> list[LettaMessage]:
    """Retrieve a message, as all the API messages that it is shown as."""
    message = await server.fleet.store.message(message_id)
    if message.role == "system":
        agent_id = await server.fleet.store.message_agent(message_id)
        [message] = await with_current_prompt(server.fleet, agent_id, [message])
    return expand(message, Display())
