"""Edits of an agent from outside: the commit that makes one."""

from typing import Any

from actors import compiled
from actors.models import count
from actors.protocol import AgentEdit
from actors.store import Store
from storage.errors import Conflict, InvalidArgument, NotFound
from storage.records import Block, Delta, Message, State, now


async def plan(
    state: State, blocks: list[Block], edit: AgentEdit, store: Store
) -> tuple[Delta, list[Block]]:
    """The delta that makes an edit, and the blocks that the agent has after it.

    Args:
        state: the agent as it is.
        blocks: its blocks.

    Raises:
        NotFound: a block or a message is not there.
        Conflict: two blocks would have the same label.
        InvalidArgument: the messages cannot be a context.
    """
    agent = state.agent
    changes: dict[str, Any] = {**edit.set, "updated_at": now().isoformat()}
    tools = changes.get("tool_ids", agent.tool_ids)
    tools = [each for each in tools if each not in edit.detach_tools]
    changes["tool_ids"] = list(dict.fromkeys([*tools, *edit.attach_tools]))
    after = await _blocks(state, blocks, edit, store)
    changes["block_ids"] = [block.id for block in after]

    delta = Delta(agent=changes)
    context = await _context(delta, state, edit, store)
    recompiled = edit.recompile or delta.context is not None or edit.set.keys() & compiled.FIELDS
    if recompiled or after != blocks:
        changed = agent.model_validate({**agent.model_dump(), **changes})
        history = state.history + len(delta.messages)
        delta.system = compiled.compile_text(changed, after, history, context)
        delta.compiled = compiled.versions(after)
    return delta, after


async def _blocks(state: State, blocks: list[Block], edit: AgentEdit, store: Store) -> list[Block]:
    given = edit.set.get("block_ids")
    attached = state.agent.block_ids if given is None else given
    for each in edit.detach_blocks:
        if each not in attached:
            raise NotFound(f"Block {each} is not attached to agent {state.agent.id}")
    kept = [each for each in attached if each not in edit.detach_blocks]
    ids = list(dict.fromkeys([*kept, *edit.attach_blocks]))
    known = {block.id: block for block in blocks}
    missing = [each for each in ids if each not in known]
    known.update({block.id: block for block in await store.blocks(missing)})
    for each in [*edit.attach_blocks, *(given or [])]:
        if each in ids and each not in known:
            raise NotFound(f"Block not found with id='{each}'")
    # What else is missing was deleted since it was attached.
    found = [known[each] for each in ids if each in known]
    labels = [block.label for block in found]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise Conflict(f"Agent {state.agent.id} would have two blocks with the label '{twice}'.")
    return found


async def _context(delta: Delta, state: State, edit: AgentEdit, store: Store) -> list[Message]:
    """Put the new context into the delta if there is one; answers the messages in it."""
    context = state.context
    if edit.reset_messages:
        for message in edit.initial_messages:
            message.tokens = count(message.text(), state.agent.llm_config.model)
        delta.messages = edit.initial_messages
        context = [*context[:1], *delta.messages]
    elif edit.message_ids is not None:
        context, delta.recalled = await _recall(state, edit.message_ids, store)
    else:
        return context
    delta.context = [message.id for message in context]
    return context


async def _recall(state: State, ids: list[str], store: Store) -> tuple[list[Message], list[Message]]:
    """The messages of these ids, and which of them come back from the history."""
    agent_id, system = state.agent.id, state.context[0].id
    if not ids or ids[0] != system:
        raise InvalidArgument(f"The first message in context must be the system message, {system}.")
    if len(set(ids)) < len(ids):
        raise InvalidArgument("A message can be in the context only once.")
    known = {message.id: message for message in state.context}
    missing = [each for each in ids if each not in known]
    recalled = await store.messages_of(agent_id, missing) if missing else []
    known.update({message.id: message for message in recalled})
    for each in ids:
        if each not in known:
            raise NotFound(f"No message found with id '{each}' for agent '{agent_id}'")
    return [known[each] for each in ids], recalled
