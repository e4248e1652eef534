"""Compactions on the wire."""

from typing_extensions import TypedDict

from server.wire.agent_requests import CompactionSettings
from server.wire.common import Body


class CompactMessages(Body):
    compaction_settings: CompactionSettings | None = None


class Compaction(TypedDict):
    summary: str
    num_messages_before: int
    num_messages_after: int
