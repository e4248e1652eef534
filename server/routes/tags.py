"""Tags of agents and blocks."""

from typing import Literal

from pydantic import Field

from server.routing import Routes, Server
from server.wire.common import Query, Short

routes = Routes("tags")


class ListTags(Query):
    before: Short | None = None
    after: Short | None = None
    limit: int = Field(50, ge=1, le=1000)
    order: Literal["asc", "desc"] = "asc"
    name: Short | None = None
    query_text: Short | None = Field(None, description="Part of the tag, in any case.")


@routes.get("/v1/tags/")
async def list_tags(server: Server, query: ListTags) -> list[str]:
    """List the tags in use, in alphabetical order. Tags are their own cursors."""
    descending = query.order == "desc"
    low, high = (query.before, query.after) if descending else (query.after, query.before)
    tags = [
        tag
        for tag in await server.fleet.store.tags()
        if (low is None or tag > low)
        and (high is None or tag < high)
        and query.name in (None, tag)
        and (query.query_text is None or query.query_text.lower() in tag.lower())
    ]
    if descending:
        tags.reverse()
    if query.before is not None and query.after is None:
        return tags[-query.limit :]
    return tags[: query.limit]
