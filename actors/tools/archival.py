"""The tools with which an agent writes into its archival memory and finds things there."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from actors.packing import zone
from actors.tools.context import ToolContext
from actors.tools.moments import moment
from storage.queries import PassageHit, PassageSearch

MOST_RESULTS = 100


async def archival_memory_insert(context: ToolContext, content: str, tags: list[str] | None = None) -> None:
    """Store a passage in your archival memory, which is outside your context and without limit.

    Args:
        content: Text that can be understood on its own when it is found again.
        tags: Words to find the passage by later.
    """
    await context.archival.insert(content, tags or [])


async def archival_memory_search(
    context: ToolContext,
    query: str,
    *,
    tags: list[str] | None = None,
    tag_match_mode: Literal["any", "all"] = "any",
    top_k: int | None = 5,
    start_datetime: str | None = None,
    end_datetime: str | None = None,
) -> list[dict[str, Any]]:
    """Search your archival memory: by meaning, or by words where no embedding model is set up.

    Args:
        query: What to look for, in plain words.
        tags: Only find passages that have these tags.
        tag_match_mode: Whether a passage must have any or all of the tags.
        top_k: How many passages to return at most.
        start_datetime: Earliest time, as YYYY-MM-DD or YYYY-MM-DDTHH:MM.
        end_datetime: Latest time in the same format; a date includes that whole day.
    """
    limit = 5 if top_k is None else top_k
    if limit < 1:
        raise ValueError("top_k must be at least 1")
    timezone = context.agent.timezone
    search = PassageSearch(
        query=query,
        tags=tags or [],
        match_all_tags=tag_match_mode == "all",
        start=moment("start_datetime", start_datetime, timezone),
        end=moment("end_datetime", end_datetime, timezone, end_of_day=True),
        limit=min(limit, MOST_RESULTS),
    )
    return [_result(hit, timezone) for hit in await context.archival.search(search)]


def _result(hit: PassageHit, timezone: str) -> dict[str, Any]:
    local = hit.passage.created_at.astimezone(zone(timezone))
    return {
        "id": hit.passage.id,
        "timestamp": local.isoformat(timespec="seconds"),
        "content": hit.passage.text,
        "tags": hit.passage.tags,
        "relevance": {"score": round(hit.score, 4)},
    }


ARCHIVAL_TOOLS: dict[str, Callable[..., Awaitable[Any]]] = {
    "archival_memory_insert": archival_memory_insert,
    "archival_memory_search": archival_memory_search,
}
