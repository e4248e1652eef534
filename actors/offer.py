"""What a step asks of the model: the prompt, the tools on offer, whether one of them must be called."""

from collections.abc import Sequence
from typing import Any

from actors import agent_types
from actors.models import ModelRequest
from actors.prompt import to_chat
from actors.tools.builtin import BY_ID
from actors.tools.rules import ToolRules
from actors.tools.schema import with_heartbeat
from storage.commits import State
from storage.records import Agent, LlmConfig, Message, Tool


class Offer:
    """The tools of an agent, as its rules let it call them.

    Args:
        agent: whose tools they are.
    """

    def __init__(self, agent: Agent) -> None:
        self.kind = agent_types.get(agent.agent_type)
        self.tools: dict[str, Tool] = {
            tool.name: tool for each in agent.tool_ids if (tool := BY_ID.get(each))
        }
        self.rules = ToolRules(agent.tool_rules)

    def allowed(self, called: Sequence[str] = (), output: str | None = None) -> list[str]:
        """Names of the tools that may be called now.

        Args:
            called: names of the tools that the run has called so far.
            output: what the last of them returned.
        """
        return self.rules.allowed(self.tools, called, output)

    def schemas(self, called: Sequence[str] = (), output: str | None = None) -> list[dict[str, Any]]:
        """Their function schemas; arguments as for :meth:`allowed`."""
        return [self._schema(self.tools[name]) for name in self.allowed(called, output)]

    def _schema(self, tool: Tool) -> dict[str, Any]:
        if self.kind.heartbeats and not self.rules.ends(tool.name):
            return with_heartbeat(tool.json_schema)
        return tool.json_schema


def model_request(
    state: State,
    system: str,
    inputs: Sequence[Message],
    llm: LlmConfig,
    offer: Offer,
    *,
    called: Sequence[str] = (),
    output: str | None = None,
) -> ModelRequest:
    """The next step's request.

    Args:
        state: whose step it is.
        system: the system prompt.
        inputs: messages that are not in the context yet.
        llm: the model.
        offer: the agent's tools.
        called, output: as for :meth:`Offer.allowed`.
    """
    schemas = offer.schemas(called, output)
    must_call = offer.kind.heartbeats or offer.rules.must_call(called)
    return ModelRequest(
        llm=llm,
        messages=to_chat([*state.context[1:], *inputs], state.agent, system=system),
        tools=schemas,
        tool_choice="required" if schemas and must_call else None,
        user=state.agent.id,
    )
