"""The system message: when it is compiled anew, and what from.

Its text is stored, so that the prompt's beginning stays the same from step to step and providers can
cache it. It is out of date when the versions of the agent's blocks are no longer those it was compiled
from; who reads it then compiles it again. What has come into the agent's archive since does not count.
"""

from actors.prompt import compile_system
from storage.commits import Delta, State
from storage.queries import Contents
from storage.records import Agent, Block, Message, now

NOTHING = Contents()

FIELDS = {"system", "agent_type", "tool_rules", "timezone", "llm_config"}
"""Fields of an agent that its system message is compiled from, besides its blocks."""


def versions(blocks: list[Block]) -> dict[str, int]:
    return {block.id: block.version for block in blocks}


def is_current(state: State, blocks: list[Block]) -> bool:
    """Whether the stored text is up to date."""
    stored = state.context[0].content if state.context else None
    return isinstance(stored, str) and state.compiled == versions(blocks)


def system_text(state: State, blocks: list[Block], archival: Contents = NOTHING) -> str:
    """The system prompt for the memory as it is now."""
    if is_current(state, blocks):
        return str(state.context[0].content)
    return compile_text(state.agent, blocks, state.history, state.context, archival)


def compile_text(
    agent: Agent, blocks: list[Block], history: int, context: list[Message], archival: Contents = NOTHING
) -> str:
    """Compile the system prompt of an agent whose history has so many messages, of which these
    are in its context, and whose archive has this in it."""
    return compile_system(
        agent,
        blocks,
        recall=max(0, history - len(context)),
        at=now(),
        archival=archival.passages,
        archive_tags=archival.tags,
    )


def recompile(state: State, delta: Delta, blocks: list[Block], archival: Contents) -> None:
    """Let a delta put a fresh system prompt into its agent's context, for what it adds to the archive."""
    messages = [*state.context, *delta.messages]
    kept = [each for each in messages if delta.context is None or each.id in delta.context]
    history = state.history + len(delta.messages)
    delta.system = compile_text(state.agent, blocks, history, kept, archival)
    delta.compiled = versions(blocks)
