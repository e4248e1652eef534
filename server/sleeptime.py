"""Giving an agent a sleep-time agent, and taking it away."""

from collections.abc import Awaitable
from contextlib import suppress

from actors import agent_types
from actors.protocol import AgentEdit
from actors.tools.builtin import BUILTIN
from server.blueprint import first_messages
from server.routing import Server
from storage.commits import Loaded, State
from storage.errors import NotFound
from storage.ids import new_id
from storage.records import Agent, Block, Group, now

_PERSONA_LABEL = "memory_persona"
_PERSONA = """\
I look after the memory of an agent. I read what was said, note what will matter later in the block it \
belongs to, correct what is out of date, and keep every block short and in order."""
_DESCRIPTION = "How you work on the memory that you look after. The agent you work for does not see it."


async def add_sleeptime(server: Server, loaded: Loaded) -> Loaded:
    """Give an agent its sleep-time agent; answers the agent with its group."""
    agent = loaded.state.agent
    if agent.group is None:
        state, persona = _sleeptime_agent(loaded)
        await server.fleet.create_agent(state, [persona])
        group = Group(agent_ids=[state.agent.id], description=f"Looks after the memory of {agent.name}")
    else:
        group = agent.group
    change = {"enable_sleeptime": True, "group": group.model_dump(mode="json")}
    return await server.fleet.edit_agent(agent.id, AgentEdit(set=change))


async def end_sleeptime(server: Server, agent: Agent) -> None:
    """After an agent was deleted: its sleep-time agents go with it; when it was one itself, the agent
    that it worked for has none any more."""
    for agent_id in agent.group.agent_ids if agent.group else []:
        await _unless_gone(server.fleet.delete_agent(agent_id))
        server.known.forget(agent_id)
    if agent.manager_id:
        change = {"enable_sleeptime": False, "group": None}
        await _unless_gone(server.fleet.edit_agent(agent.manager_id, AgentEdit(set=change)))


def _sleeptime_agent(loaded: Loaded) -> tuple[State, Block]:
    """The agent that looks after another one's memory, and the block that it has to itself."""
    main, created = loaded.state.agent, now()
    agent_id = new_id("agent", main.id)
    persona = Block(
        id=new_id("block", agent_id),
        label=_PERSONA_LABEL,
        value=_PERSONA,
        description=_DESCRIPTION,
        created_at=created,
        updated_at=created,
    )
    blocks = [*loaded.blocks, persona]
    tools = [BUILTIN[name] for name in agent_types.base_tools("sleeptime_agent")]
    agent = Agent(
        id=agent_id,
        name=f"{main.name}-sleeptime",
        agent_type="sleeptime_agent",
        system=agent_types.get("sleeptime_agent").system,
        llm_config=main.llm_config,
        embedding_config=main.embedding_config,
        tool_ids=[tool.id for tool in tools],
        tool_rules=agent_types.tool_rules("sleeptime_agent", tools, None, model=main.llm_config.model),
        block_ids=[block.id for block in blocks],
        manager_id=main.id,
        project_id=main.project_id,
        timezone=main.timezone,
        created_at=created,
        updated_at=created,
    )
    context = first_messages(agent, blocks)
    return State(agent=agent, context=context, history=len(context)), persona


async def _unless_gone(work: Awaitable[object]) -> None:
    with suppress(NotFound):  # somebody else deleted it first
        await work
