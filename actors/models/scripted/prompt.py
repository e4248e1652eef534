"""What the scripted model reads in its prompt."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

NOT_SPOKEN = {"heartbeat", "login", "system_alert"}
"""Types of packed messages that the server wrote, not a person."""
_FORWARDED = re.compile(r"^\[Incoming message[^\]]*\]\s*")
_VALUE = re.compile(r"<value>\n?(.*?)\n?</value>", re.DOTALL)
_LINE_NUMBER = re.compile(r"^\d+→ ?", re.MULTILINE)


@dataclass(slots=True)
class ToolReturned:
    name: str
    content: str


@dataclass(slots=True)
class Prompt:
    system: str = ""
    user: str = ""
    """The newest message from a person or another agent."""
    notice: str = ""
    """A hint from the server after that message, such as a tool that must still be called."""
    said: list[str] = field(default_factory=list)
    """All such messages that are in the prompt, the newest first."""
    texts: list[str] = field(default_factory=list)
    """Everything but the system prompt, in order."""
    called: list[str] = field(default_factory=list)
    """Names of the tools called since the newest message."""
    returned: list[ToolReturned] = field(default_factory=list)
    """What tools returned since the newest message."""
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Parameter schemas of the tools on offer, by name."""

    def block(self, label: str) -> str | None:
        """The value of a memory block, or ``None`` when no such block is in the prompt."""
        match = re.search(rf"<{re.escape(label)}>\n(.*?)</{re.escape(label)}>", self.system, re.DOTALL)
        if match is None:
            return None
        value = _VALUE.search(match[1])
        return _LINE_NUMBER.sub("", value[1] if value else match[1]).strip()


def read(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Prompt:
    """Read a chat-completions prompt.

    Args:
        messages: system, user, assistant and tool messages, oldest first.
        tools: function schemas with ``name`` and ``parameters``.
    """
    prompt = Prompt(tools={tool["name"]: tool.get("parameters") or {} for tool in tools})
    names: dict[str, str] = {}
    for position, message in enumerate(messages):
        role, text = message["role"], text_of(message)
        if role == "system" and position == 0:
            prompt.system = text
            continue
        kind, text = unpack(text)
        if text:
            prompt.texts.append(text)
        if role in ("user", "system"):
            if kind in NOT_SPOKEN:
                prompt.notice = text
                continue
            prompt.user, prompt.notice = _FORWARDED.sub("", text), ""
            prompt.said.insert(0, prompt.user)
            prompt.called, prompt.returned = [], []
        elif role == "assistant":
            for call in message.get("tool_calls") or ():
                names[call["id"]] = call["function"]["name"]
                prompt.called.append(call["function"]["name"])
        elif role == "tool":
            identifier = message.get("tool_call_id", "")
            prompt.returned.append(ToolReturned(names.get(identifier, "the tool"), text))
    return prompt


def text_of(message: dict[str, Any]) -> str:
    """The words of a message, whether its content is text or parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def unpack(text: str) -> tuple[str | None, str]:
    """The type and the words of a message that may be packed as JSON with a type, time and so on."""
    if text.startswith("{") and text.endswith("}"):
        try:
            packed = json.loads(text)
        except ValueError:
            return None, text
        words = packed.get("message", packed.get("reason"))
        if isinstance(words, str) and ("time" in packed or "type" in packed):
            return packed.get("type"), words
    return None, text
