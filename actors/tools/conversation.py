"""The tools with which an agent talks and looks back at what was said."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal

from actors.packing import zone
from actors.tools.context import ToolContext
from actors.tools.moments import moment
from storage.queries import Hit, MessageSearch
from storage.search import said

MOST = 100
"""Results at most, whatever the model asks for."""
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


async def send_message(context: ToolContext, message: str) -> str:  # noqa: ARG001 - the call is the message
    """Send a message to the user. It is the only way to reach them.

    Args:
        message: Text of the message. All languages and emojis are fine.
    """
    return "Sent message successfully."


async def conversation_search(
    context: ToolContext,
    query: str | None = None,
    *,
    roles: list[Literal["assistant", "user", "tool"]] | None = None,
    limit: int = 5,
    start_date: str | None = None,
    end_date: str | None = None,
) -> dict[str, Any]:
    """Search the whole history of this conversation, also what is no longer in your context. The
    best matches come first; without a query, the newest messages.

    Examples:
        conversation_search(query="birthday cake")
        conversation_search(roles=["user"], start_date="2026-03-01", end_date="2026-03-07")

    Args:
        query: What to look for. The more of these words a message has, and the rarer they are, the better
            it matches; where an embedding model is set up, messages that mean the same match, too.
        roles: Whose messages to search. Without it, the user's and yours.
        limit: How many messages to return at most.
        start_date: Earliest time, as YYYY-MM-DD or YYYY-MM-DDTHH:MM.
        end_date: Latest time in the same format; a date includes that whole day.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    # Tool rows are left out: most of them quote what an earlier search found.
    wanted = [role for role in roles or ["user", "assistant"] if role != "tool"]
    timezone = context.agent.timezone
    search = MessageSearch(
        query=query or "",
        agent_id=context.agent.id,
        limit=min(limit, MOST),
        roles=wanted,
        start=moment("start_date", start_date, timezone),
        end=moment("end_date", end_date, timezone, end_of_day=True),
    )
    hits = await context.search(search) if wanted else []
    results = [_result(hit, context) for hit in hits]
    note = f"Showing {len(results)} results:" if results else "No results found."
    return {"message": note, "results": results}


def _result(hit: Hit, context: ToolContext) -> dict[str, Any]:
    message = hit.message
    local = message.created_at.astimezone(zone(context.agent.timezone))
    result: dict[str, Any] = {
        "timestamp": local.isoformat(timespec="seconds"),
        "time_ago": _ago(context.at - message.created_at),
        "role": message.role,
    }
    if hit.rank or hit.vector_rank:
        result["relevance"] = relevance(hit)
    if message.reasoning:
        result["thinking"] = message.reasoning
    result["content"] = said(message)
    return result


def relevance(hit: Hit) -> dict[str, Any]:
    """How well a message matches, in the keys that clients know."""
    return {
        "rrf_score": round(hit.rrf_score, 6),
        "vector_rank": hit.vector_rank or None,
        "fts_rank": hit.rank or None,
        "search_mode": hit.mode,
    }


def _ago(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"


CONVERSATION_TOOLS: dict[str, Callable[..., Awaitable[Any]]] = {
    "send_message": send_message,
    "conversation_search": conversation_search,
}
