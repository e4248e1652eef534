"""Edits of an agent from outside: the commit that makes one."""

from dataclasses import dataclass, field
from typing import Any

from actors import compiled
from actors.archives import Archives, default_archive
from actors.models import count
from actors.protocol import AgentEdit
from actors.store import Store
from storage.commits import Delta, DocumentWrite, State
from storage.errors import Conflict, InvalidArgument, NotFound
from storage.queries import AgentQuery, Contents
from storage.records import Agent, Archive, Block, Message, now


@dataclass(slots=True)
class Change:
    """What an edit commits, and what the agent has after it."""

    delta: Delta
    blocks: list[Block]
    archival: Contents
    documents: list[DocumentWrite] = field(default_factory=list)


async def plan(state: State, blocks: list[Block], edit: AgentEdit, archives: Archives) -> Change:
    """The commit that makes an edit.

    Args:
        state: the agent as it is.
        blocks: its blocks.

    Raises:
        NotFound: a block, an archive or a message is not there.
        Conflict: two blocks would have the same label.
        InvalidArgument: the messages cannot be a context, or the agent has another archive.
    """
    agent, store = state.agent, archives.store
    changes: dict[str, Any] = {**edit.set, "updated_at": now().isoformat()}
    tools = changes.get("tool_ids", agent.tool_ids)
    tools = [each for each in tools if each not in edit.detach_tools]
    changes["tool_ids"] = list(dict.fromkeys([*tools, *edit.attach_tools]))
    after = await _blocks(state, blocks, edit, store)
    changes["block_ids"] = [block.id for block in after]

    documents: list[DocumentWrite] = []
    if edit.attach_archive or edit.detach_archive or edit.default_archive:
        changes["archive_ids"] = await _archive_ids(agent, edit, archives, documents)

    changed = agent.model_validate({**agent.model_dump(), **changes})
    archival = await archives.contents(changed)
    delta = Delta(agent=changes)
    context = await _context(delta, state, edit, store)
    recompiled = edit.recompile or delta.context is not None or edit.set.keys() & compiled.FIELDS
    if recompiled or after != blocks or changed.archive_ids != agent.archive_ids:
        history = state.history + len(delta.messages)
        delta.system = compiled.compile_text(changed, after, history, context, archival)
        delta.compiled = compiled.versions(after)
    return Change(delta, after, archival, documents)


async def _archive_ids(
    agent: Agent, edit: AgentEdit, archives: Archives, documents: list[DocumentWrite]
) -> list[str]:
    """The agent's archive after an edit; one that is made for it goes to the documents."""
    current = await archives.of(agent)
    if current and current.id == edit.detach_archive:
        current = None
    if edit.attach_archive:
        wanted = await archives.store.document(Archive, edit.attach_archive)
        if current and current.id != wanted.id:
            raise InvalidArgument(
                f"Agent {agent.id} has archive {current.id} already, and an agent has at most one. "
                "Detach it first."
            )
        current = wanted
    if current is None and edit.default_archive:
        current = default_archive(agent)
        documents.append(DocumentWrite(current, None))
    return [current.id] if current else []


async def deleted_archives(agent: Agent, store: Store) -> list[DocumentWrite]:
    """The archive that goes with a deleted agent: its own, unless another agent has it."""
    own = [each for each in await store.documents(Archive, agent.archive_ids) if each.agent_id == agent.id]
    writes = []
    for archive in own:
        having = await store.find_agents(AgentQuery(archive_id=archive.id, hidden=True, limit=2))
        if having == [agent.id]:
            gone = {"deleted": True, "version": archive.version + 1, "updated_at": now()}
            writes.append(DocumentWrite(archive.model_copy(update=gone), archive.version))
    return writes


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
