"""What the model reads: the system prompt and the history."""

from actors.prompt.chat import to_chat
from actors.prompt.system import compile_system

__all__ = ["compile_system", "to_chat"]
