"""The JSON envelopes in which the model sees events, tool returns and times."""

import json
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from storage.records import ToolReturn

HIDDEN = "[This is an automated system message hidden from the user] "


def zone(name: str) -> tzinfo:
    """The time zone of this IANA name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC  # a machine without this zone's data must not make the agent unusable


def local_time(at: datetime, timezone: str) -> str:
    """A moment as people of this time zone write it: ``2026-11-22 10:00:00 AM UTC+0000``."""
    return at.astimezone(zone(timezone)).strftime("%Y-%m-%d %I:%M:%S %p %Z%z")


def pack_user_message(text: str, at: datetime, timezone: str) -> str:
    """A user's words with the time they were said at."""
    return _pack(at, timezone, type="user_message", message=text)


def pack_system_alert(text: str, at: datetime, timezone: str) -> str:
    """Something the server or its operator tells the agent."""
    return _pack(at, timezone, type="system_alert", message=text)


def pack_heartbeat(reason: str, at: datetime, timezone: str) -> str:
    """The event that gives a heartbeat-driven agent another turn."""
    return _pack(at, timezone, type="heartbeat", reason=HIDDEN + reason)


def pack_login(last_login: str, at: datetime, timezone: str) -> str:
    """The event that the user is there."""
    return _pack(at, timezone, type="login", last_login=last_login)


def pack_summary(summary: str, hidden: int, at: datetime, timezone: str) -> str:
    """What stands for ``hidden`` messages that left the context."""
    note = (
        f"Note: {hidden} messages from the beginning of the conversation have been hidden from view due "
        f"to memory constraints.\nThe following is a summary of the previous messages:\n {summary}"
    )
    return pack_system_alert(note, at, timezone)


def pack_tool_return(returned: ToolReturn, at: datetime, timezone: str) -> str:
    """A tool's answer."""
    status = "OK" if returned.status == "success" else "Failed"
    return _pack(at, timezone, status=status, message=returned.content)


def _pack(at: datetime, timezone: str, **fields: Any) -> str:
    return json.dumps({**fields, "time": local_time(at, timezone)}, ensure_ascii=False)
