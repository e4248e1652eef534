"""The system prompt, compiled from an agent's template and memory."""

from collections.abc import Sequence
from datetime import datetime

from actors import agent_types
from actors.packing import local_time
from actors.tools import rules
from storage.records import Agent, Block

CORE_MEMORY = "{CORE_MEMORY}"
"""Where a template wants the memory; otherwise it comes at the end."""

_INTRODUCTION = "The following memory blocks are currently engaged in your core memory unit:"
_WARNING = """\
<warning>
Each line of the value below begins with its number and an arrow, for orientation. They are not part of \
the value: leave them out when you quote or write it.
</warning>"""


def compile_system(
    agent: Agent,
    blocks: Sequence[Block],
    *,
    recall: int,
    at: datetime,
    archival: int = 0,
    archive_tags: Sequence[str] = (),
    conversation_id: str = "default",
) -> str:
    """The system prompt of an agent.

    Args:
        agent: whose prompt it is.
        blocks: its memory, in the order in which it is shown.
        recall: messages in its history that are not in its context.
        at: when the prompt is compiled.
        archival: passages in its archival memory.
        archive_tags: their tags.
        conversation_id: the conversation it is for.
    """
    sections = [
        memory_section(agent, blocks),
        rules.render(agent.tool_rules),
        metadata_section(
            agent,
            recall=recall,
            at=at,
            archival=archival,
            archive_tags=archive_tags,
            conversation_id=conversation_id,
        ),
    ]
    memory = "\n\n".join(section for section in sections if section)
    if CORE_MEMORY in agent.system:
        return agent.system.replace(CORE_MEMORY, memory)
    return f"{agent.system}\n\n{memory}"


def memory_section(agent: Agent, blocks: Sequence[Block]) -> str:
    """The blocks as the agent sees them; empty if it has none or does not work with any."""
    kind = agent_types.get(agent.agent_type)
    if not blocks or not kind.renders_memory:
        return ""
    numbered = kind.line_numbers and agent.llm_config.model_endpoint_type == "anthropic"
    shown = "\n\n".join(_block(block, numbered=numbered) for block in blocks)
    return f"<memory_blocks>\n{_INTRODUCTION}\n\n{shown}\n</memory_blocks>"


def metadata_section(
    agent: Agent,
    *,
    recall: int,
    at: datetime,
    archival: int = 0,
    archive_tags: Sequence[str] = (),
    conversation_id: str = "default",
) -> str:
    """What the agent is told about itself; arguments as for :func:`compile_system`."""
    lines = [
        f"- AGENT_ID: {agent.id}",
        f"- CONVERSATION_ID: {conversation_id}",
        f"- System prompt last recompiled: {local_time(at, agent.timezone)}",
        f"- {recall} previous messages between you and the user are stored in recall memory",
    ]
    if archival:
        stored = f"- {archival} total memories you created are stored in archival memory"
        lines.append(f"{stored} (use tools to access them)")
    if archive_tags:
        lines.append(f"- Available archival memory tags: {', '.join(archive_tags)}")
    return "\n".join(["<memory_metadata>", *lines, "</memory_metadata>"])


def _block(block: Block, *, numbered: bool) -> str:
    lines = block.value.split("\n")
    if numbered:
        lines = [f"{number}→ {line}" for number, line in enumerate(lines, 1)]
    return "\n".join(
        [
            f"<{block.label}>",
            "<description>",
            block.description or "",
            "</description>",
            "<metadata>",
            *(["- read_only=true"] if block.read_only else []),
            f"- chars_current={len(block.value)}",
            f"- chars_limit={block.limit}",
            "</metadata>",
            *([_WARNING] if numbered else []),
            "<value>",
            *lines,
            "</value>",
            f"</{block.label}>",
        ]
    )
