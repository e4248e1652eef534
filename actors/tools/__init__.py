"""What agents can call: built-in tools, their schemas, how a call runs and which may run."""

from actors.tools.context import ToolContext
from actors.tools.execute import execute
from actors.tools.memory import Memory

__all__ = ["Memory", "ToolContext", "execute"]
