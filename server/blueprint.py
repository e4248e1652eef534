"""From what a client asks for to an agent that can be stored."""

from collections.abc import Iterable

from actors import agent_types, compiled
from actors.models import count
from actors.tools.builtin import BUILTIN, BY_ID
from server.errors import Unsupported
from server.model_choice import choose_embedding, choose_model, choose_summarizer
from server.names import random_name
from server.routing import Server
from server.wire.agent_requests import AgentFields, CreateAgent
from server.wire.blocks import CreateBlock
from server.wire.common import DEFAULT_ORGANIZATION, Object
from server.wire.send import MessageCreate
from storage.commits import Loaded, State
from storage.errors import Conflict, NotFound
from storage.ids import new_id
from storage.records import Agent, Block, Message, Secret, Tool, now

MULTI_AGENT_TOOLS = (
    "send_message_to_agent_and_wait_for_reply",
    "send_message_to_agents_matching_tags",
    "send_message_to_agent_async",
)
FILE_LIMITS = ((8_000, 3, 5_000), (32_000, 5, 15_000), (128_000, 10, 25_000), (200_000, 10, 40_000))
"""Up to which context window (tokens), how many files may be open, and how many characters each shows."""
FILE_LIMITS_BEYOND = (15, 40_000)


async def build_agent(server: Server, body: CreateAgent) -> tuple[Loaded, list[Block]]:
    """A new agent as the client wants it, and which of its blocks are new too. Nothing is stored.

    Raises:
        NotFound: a tool, a block or a model is not there.
        Conflict: two blocks have the same label.
        InvalidArgument: the model settings make no sense.
        Unsupported: something is asked for that this server does not do.
    """
    check_supported(body)
    created = now()
    agent_id = new_id("agent")
    llm_config = await choose_model(server, body)
    embedding = await choose_embedding(server, body, body.embedding_chunk_size)
    if embedding is None and server.settings.default_embedding:
        embedding = await server.catalog.resolve_embedding(server.settings.default_embedding)
    tools = _tools(body)
    new, blocks = await _blocks(server, agent_id, body)
    kind = agent_types.get(body.agent_type)
    files, characters = file_limits(llm_config.context_window)
    fields = plain_fields(body)
    agent = Agent(
        **{
            "name": random_name(),
            "system": kind.system,
            "max_files_open": files,
            "per_file_view_window_char_limit": characters,
            "hidden": True if "role:subagent" in (body.tags or []) else None,
            **fields,
        },
        id=agent_id,
        agent_type=body.agent_type,
        llm_config=llm_config,
        embedding_config=embedding,
        compaction_llm=await choose_summarizer(server, body),
        tool_ids=[tool.id for tool in tools],
        tool_rules=agent_types.tool_rules(
            body.agent_type,
            tools,
            rules_of(body),
            model=llm_config.model,
            include_base=body.include_base_tool_rules,
            enable_sleeptime=bool(body.enable_sleeptime),
        ),
        block_ids=[block.id for block in blocks],
        secrets=secrets_of(body.variables or {}, agent_id, []),
        created_at=created,
        updated_at=created,
    )
    agent.message_buffer_autoclear |= kind.autoclear
    context = first_messages(agent, blocks, body.initial_message_sequence)
    state = State(agent=agent, context=context, history=len(context), compiled=compiled.versions(blocks))
    return Loaded(0, state, blocks), new


def check_supported(body: AgentFields) -> None:
    """Raises Unsupported for what is asked for and not done here: better than to leave it out silently."""
    wanted = {
        "folder_ids": body.folder_ids,
        "source_ids": body.source_ids,
        "identity_ids": body.identity_ids,
    }
    for name, value in wanted.items():
        if value:
            raise Unsupported(f"`{name}` is not supported by this server")


def plain_fields(body: AgentFields) -> Object:
    """The given fields that an agent's record has under the same name and in the same form."""
    same = {
        "name",
        "system",
        "description",
        "metadata",
        "tags",
        "response_format",
        "compaction_settings",
        "message_buffer_autoclear",
        "enable_sleeptime",
        "timezone",
        "max_files_open",
        "per_file_view_window_char_limit",
        "hidden",
        "project_id",
        "template_id",
        "base_template_id",
        "last_stop_reason",
        "last_run_completion",
        "last_run_duration_ms",
    }
    fields = {key: value for key, value in body.given().items() if key in same}
    if "tags" in fields:
        fields["tags"] = list(dict.fromkeys(fields["tags"]))
    return fields


def rules_of(body: AgentFields) -> list[Object] | None:
    """The tool rules of a request as JSON values."""
    if body.tool_rules is None:
        return None
    return [rule.model_dump() for rule in body.tool_rules]


def secrets_of(variables: dict[str, str], agent_id: str, existing: Iterable[Secret]) -> list[Secret]:
    """Secrets with these values. One that existed keeps its id."""
    known = {secret.key: secret for secret in existing}
    return [
        known[key].model_copy(update={"value": value})
        if key in known
        else Secret(id=new_id("agent-env", agent_id), key=key, value=value, created_at=now())
        for key, value in variables.items()
    ]


def find_tools(ids: Iterable[str]) -> list[Tool]:
    """Raises NotFound."""
    found = []
    for tool_id in ids:
        if tool_id not in BY_ID:
            raise NotFound(f"Tool with id={tool_id} not found in organization={DEFAULT_ORGANIZATION}")
        found.append(BY_ID[tool_id])
    return found


def file_limits(context_window: int) -> tuple[int, int]:
    """How many files an agent may have open, and how many characters it sees of each."""
    for window, files, characters in FILE_LIMITS:
        if context_window <= window:
            return files, characters
    return FILE_LIMITS_BEYOND


def first_messages(
    agent: Agent, blocks: list[Block], given: list[MessageCreate] | None = None
) -> list[Message]:
    """The context that an agent starts with: the system message, then what the client gave, else what
    agents of its type are born with."""
    system = Message(
        id=new_id("message", agent.id),
        role="system",
        created_at=agent.created_at,
        content=compiled.compile_text(agent, blocks, 0, []),
    )
    if given is None:
        rest = agent_types.boot_messages(agent, agent.created_at)
    else:
        inputs = [input_message(agent.id, each) for each in given]
        rest = agent_types.packed_messages(agent, inputs, agent.created_at)
    for ordinal, message in enumerate([system, *rest]):
        message.ordinal = ordinal
        message.tokens = count(message.text(), agent.llm_config.model)
    return [system, *rest]


def input_message(agent_id: str, given: MessageCreate, run_id: str | None = None) -> Message:
    """A client's message as a record."""
    return Message(
        id=new_id("message", agent_id),
        role=given.role,
        created_at=now(),
        content=given.content_value(),
        name=given.name,
        otid=given.otid,
        sender_id=given.sender_id,
        group_id=given.group_id,
        run_id=run_id,
    )


def _tools(body: CreateAgent) -> list[Tool]:
    names: list[str] = []
    if body.include_base_tools:
        names += agent_types.base_tools(body.agent_type, enable_sleeptime=bool(body.enable_sleeptime))
    if body.include_multi_agent_tools:
        names += MULTI_AGENT_TOOLS
    names += body.tools
    for name in names:
        if name not in BUILTIN:
            raise NotFound(f"Tool '{name}' not found")
    tools = [BUILTIN[name] for name in names] + find_tools(body.tool_ids or [])
    return list({tool.id: tool for tool in tools}.values())


async def _blocks(server: Server, agent_id: str, body: CreateAgent) -> tuple[list[Block], list[Block]]:
    """The blocks to make, and all blocks that the agent gets."""
    new = [_new_block(agent_id, each) for each in body.memory_blocks]
    existing = await server.fleet.store.blocks(list(dict.fromkeys(body.block_ids or [])))
    missing = set(body.block_ids or []) - {block.id for block in existing}
    if missing:
        raise NotFound(f"Block not found with id='{min(missing)}'")
    blocks = [*new, *existing]
    labels = [block.label for block in blocks]
    for label in labels:
        if labels.count(label) > 1:
            raise Conflict(f"The agent would have two blocks with the label '{label}'")
    return new, blocks


def _new_block(agent_id: str, given: CreateBlock) -> Block:
    created = now()
    fields = {"description": agent_types.DEFAULT_DESCRIPTIONS.get(given.label), **given.fields()}
    return Block(id=new_id("block", agent_id), created_at=created, updated_at=created, **fields)
