"""What the server remembers of agents, so that not every message has to ask the store first."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from storage.records import AgentType

if TYPE_CHECKING:
    from actors.fleet import Fleet

REMEMBERED = 20_000


class KnownAgents:
    """The types of the agents used last. A type never changes; an agent that is deleted through this
    server is forgotten."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self._types: OrderedDict[str, AgentType] = OrderedDict()

    async def type_of(self, agent_id: str) -> AgentType:
        """Raises NotFound for an agent that does not exist."""
        if agent_id in self._types:
            self._types.move_to_end(agent_id)
            return self._types[agent_id]
        loaded = await self._fleet.agent(agent_id)
        return self.remember(agent_id, loaded.state.agent.agent_type)

    def remember(self, agent_id: str, agent_type: AgentType) -> AgentType:
        self._types[agent_id] = agent_type
        if len(self._types) > REMEMBERED:
            self._types.popitem(last=False)
        return agent_type

    def forget(self, agent_id: str) -> None:
        self._types.pop(agent_id, None)
