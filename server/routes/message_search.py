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
    """Search messages by their words, the best matches first.

    Words in double quotes have to occur just like that. Of system and tool messages there is nothing to
    be found; summaries of older messages are shown as system messages.
    """
    return [found_message(hit) for hit in await _search(server, body, body.query)]


@routes.post("/v1/agents/messages/search")
async def search_agent_messages(server: Server, body: SearchAgentMessages) -> list[RankedMessage]:
    """Search messages by their words, with how well they match; without a query, the newest messages."""
    roles = None if body.roles is None else [role for role in SEARCHED if role in body.roles]
    if roles == []:
        return []
    hits = await _search(server, body, body.query or "", roles=roles or [])
    return [ranked_message(hit) for hit in hits]


async def _search(server: Server, body: SearchFilter, query: str, **more: Any) -> list[Hit]:
    if body.conversation_id not in (None, "default"):
        raise Unsupported("Messages cannot be searched by conversation")
    if body.agent_id is not None:
        await server.known.type_of(body.agent_id)
    return await server.fleet.store.search_messages(body.search(query, **more))
