"""What a tool call works on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.archival import ArchivalMemory
from actors.tools.memory import Memory
from storage.queries import Hit, MessageSearch
from storage.records import Agent, Tool, now


@dataclass(slots=True)
class ToolContext:
    """What the tools of one step work on."""

    agent: Agent
    memory: Memory
    archival: ArchivalMemory
    search: Callable[[MessageSearch], Awaitable[list[Hit]]]
    """Finds messages in the whole history."""
    tools: dict[str, Tool]
    """The agent's tools by name."""
    at: datetime = field(default_factory=now)
