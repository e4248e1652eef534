"""Search in the whole histories of one agent or of all."""

from typing import Any

from server.errors import Unsupported
from server.routing import Routes, Server
from server.wire.message_search import (
    FoundMessage,
    RankedMessage,
    SearchAgentMessages,
    SearchFilter,
    SearchMessages,
    found_message,
    ranked_message,
)
from storage.queries import Hit
from storage.search import SEARCHED

routes = Routes("messages")


@routes.post("/v1/messages/search")
async def search_messages(server: Server, body: SearchMessages) -> list[FoundMessage]:
    """Search messages by their words, by their meaning or both, the best matches first.

    Messages are compared by meaning where an embedding model applies: the agent's own, or the server's
    default; a new message takes some seconds until it is. Where words count, those in double quotes have
    to occur just like that. Of system and tool messages there is nothing to
    be found; summaries of older messages are shown as system messages.
    """
    return [found_message(hit) for hit in await _search(server, body, body.query)]


@routes.post("/v1/agents/messages/search")
async def search_agent_messages(server: Server, body: SearchAgentMessages) -> list[RankedMessage]:
    """Search messages as `/v1/messages/search` does, and tell how well they match; without a query, the
    newest messages."""
    roles = None if body.roles is None else [role for role in SEARCHED if role in body.roles]
    if roles == []:
        return []
    hits = await _search(server, body, body.query or "", roles=roles or [])
    return [ranked_message(hit) for hit in hits]


async def _search(server: Server, body: SearchFilter, query: str, **more: Any) -> list[Hit]:
    if body.conversation_id not in (None, "default"):
        raise Unsupported("Messages cannot be searched by conversation")
    agent = None if body.agent_id is None else (await server.fleet.agent(body.agent_id)).state.agent
    return await server.fleet.recall.search(body.search(query, **more), body.search_mode, agent)
