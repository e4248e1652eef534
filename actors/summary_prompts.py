"""What a model is told that summarises an agent's older messages, and how they are shown to it."""

from collections.abc import Iterable

from actors.packing import local_time
from storage.records import Message

_TASK = """\
You write the notes that an agent will have in place of {what}. The messages are about to leave the \
agent's context; your summary is what it will know of them without searching.

Write it for the agent, in the language of the conversation, as short plain paragraphs or lists. Keep:
- facts about people, and how they want to be treated: names, dates, numbers, places, decisions, exactly \
as they were said;
- what was asked for, what was done about it and with what result, tool calls included;
- what was promised or is still open, and what comes next.
If there is a summary of still older messages among them, take over what still matters. Leave out \
greetings, repetitions and anything that was corrected later. Invent nothing, address nobody, and do not \
mention this task. Summarise in at most {words} words."""

OLDEST = _TASK.format(what="the oldest part of a conversation that goes on", words=400)
ALL = _TASK.format(what="a whole conversation, which it then has to go on with", words=600)
_ITSELF = (
    "This is a note from the system that runs you, not from the user. Your context is nearly full. Do not "
    "answer anything now and call no tool: summarise the conversation above. "
)
NO_SUMMARY = (
    "The older part of the conversation was taken out of the context, and no summary of it could be "
    "written. It can still be found with conversation_search."
)
ASK_AGREEMENT = "Do you understand what to write?"
AGREEMENT = "Yes. I will summarise the messages that follow and write nothing else."
_TOOL_TEXT = 2_000
"""Characters of one tool call or return that a transcript shows."""
_LEFT_OUT = "[… messages left out here …]"


def of_mode(mode: str) -> str:
    """What the model is told, by compaction mode."""
    task = OLDEST if mode.endswith("sliding_window") else ALL
    return _ITSELF + task if mode.startswith("self_compact") else task


def transcript(messages: Iterable[Message], timezone: str, max_chars: int) -> str:
    """Messages as text for another model to read; when it would be longer than ``max_chars``
    characters, its middle is left out."""
    lines = [line for message in messages for line in _lines(message, timezone)]
    text = "\n".join(lines)
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}\n{_LEFT_OUT}\n{text[-half:]}"


def _lines(message: Message, timezone: str) -> Iterable[str]:
    at = local_time(message.created_at, timezone)
    if words := message.text().strip():
        if message.role == "summary":
            yield f"[{at}] summary of still older messages:"
            yield words
        else:
            yield f"[{at}] {message.role}: {words}"
    for call in message.tool_calls:
        yield f"[{at}] assistant calls {call.name}: {call.arguments[:_TOOL_TEXT]}"
    for returned in message.tool_returns:
        yield f"[{at}] {returned.name} returns ({returned.status}): {returned.content[:_TOOL_TEXT]}"
