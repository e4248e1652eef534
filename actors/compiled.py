"""The system message: when it is compiled anew, and what from.

Its text is stored, so that the prompt's beginning stays the same from step to step and providers can
cache it. It is out of date when the versions of the agent's blocks are no longer those it was compiled
from; who reads it then compiles it again.
"""

from actors.prompt import compile_system
from storage.records import Agent, Block, Message, State, now

FIELDS = {"system", "agent_type", "tool_rules", "timezone", "llm_config"}
"""Fields of an agent that its system message is compiled from, besides its blocks."""


def versions(blocks: list[Block]) -> dict[str, int]:
    return {block.id: block.version for block in blocks}


def system_text(state: State, blocks: list[Block]) -> str:
    """The system prompt for the memory as it is now."""
    stored = state.context[0].content if state.context else None
    if isinstance(stored, str) and state.compiled == versions(blocks):
        return stored
    return compile_text(state.agent, blocks, state.history, state.context)


def compile_text(agent: Agent, blocks: list[Block], history: int, context: list[Message]) -> str:
    """Compile the system prompt of an agent whose history has so many messages, of which these
    are in its context."""
    return compile_system(agent, blocks, recall=max(0, history - len(context)), at=now())
