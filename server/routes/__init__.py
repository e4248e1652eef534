"""The API's operations, one module a resource."""

from server.routes import (
    agent_archives,
    agent_blocks,
    agent_context,
    agent_messages,
    agents,
    archives,
    block_versions,
    blocks,
    description,
    groups,
    health,
    message_search,
    messages,
    models,
    passages,
    runs,
    steps,
    tags,
    tools,
)
from server.routing import Routes

ALL: tuple[Routes, ...] = (
    agents.routes,
    agent_messages.routes,
    agent_blocks.routes,
    agent_context.routes,
    agent_archives.routes,
    archives.routes,
    passages.routes,
    blocks.routes,
    block_versions.routes,
    tools.routes,
    runs.routes,
    steps.routes,
    message_search.routes,
    messages.routes,
    models.routes,
    groups.routes,
    tags.routes,
    health.routes,
    description.routes,
)
"""Every resource, in the order of the API's description."""
