"""Sleep-time agents: they tidy an agent's memory in the background, after it has answered.

They share the agent's blocks. After its first run and then after every so many, they are shown the
conversation since the last time, and edit the blocks.
"""

from actors.protocol import SendRequest
from actors.summary_prompts import transcript
from storage.commits import State
from storage.ids import new_id
from storage.records import Group, Message, now

TRANSCRIPT_CHARS = 100_000

_REMINDER = """\
<system-reminder>
You are a sleeptime agent. While nobody talks with you, you keep the memory of {name} in order. Below is \
what was said since you last looked. Nobody sees what you write: bring the memory blocks up to date with \
your tools, then finish.
</system-reminder>

Messages:
{transcript}"""


def after_run(state: State, made: list[Message]) -> tuple[Group | None, list[tuple[str, SendRequest]]]:
    """Count a run of the agent, and make its sleep-time agents' requests if their turn has come.

    Args:
        state: the agent's, before the last step of the run is committed.
        made: the messages of that step.

    Returns:
        the group with the run counted (``None`` if the agent has none), and for each sleep-time agent
        its id and what it is asked.
    """
    group = state.agent.group
    if group is None or not state.agent.enable_sleeptime:
        return None, []
    turns = (group.turns + 1) % (group.frequency or 1)
    if turns:
        return group.model_copy(update={"turns": turns}), []
    messages = [*state.context[1:], *made]
    seen = next((i for i, each in enumerate(messages) if each.id == group.last_message_id), -1)
    fresh = messages[seen + 1 :]
    requests = [(agent_id, _request(agent_id, state, fresh)) for agent_id in group.agent_ids]
    return group.model_copy(update={"turns": turns, "last_message_id": messages[-1].id}), requests


def _request(agent_id: str, state: State, messages: list[Message]) -> SendRequest:
    run_id = new_id("run", agent_id)
    text = _REMINDER.format(
        name=state.agent.name,
        transcript=transcript(messages, state.agent.timezone, TRANSCRIPT_CHARS) or "(none)",
    )
    message = Message(
        id=new_id("message", agent_id), role="user", created_at=now(), content=text, run_id=run_id
    )
    metadata = {"run_type": "sleeptime_agent_send_message_async", "main_agent_id": state.agent.id}
    return SendRequest(run_id=run_id, messages=[message], background=True, metadata=metadata)
