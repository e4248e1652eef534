"""Public ids: ``<prefix>-<uuid>``.

The uuid has the version-4 layout that clients check for, but its bits are used:

    tttttttt-tttt-4ccc-8rrr-rrrrrrrrrsss
    t  milliseconds since 1970, so ids sort by creation and DuckDB's zone maps find a row by id
    c  counter within one millisecond of one process
    r  random
    s  slot: which part of the fleet the id belongs to

Everything an agent makes carries the agent's slot. A message, a run or a block is therefore found
in its agent's shard by its id alone.
"""

import os
import re
import threading
import time
import uuid

SLOTS = 4096
_COUNTERS = 4096
_ID = re.compile(
    r"^(?P<prefix>[a-z_]+)-(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$"
)

_lock = threading.Lock()
_last = (0, 0)


def new_id(prefix: str, near: str | None = None) -> str:
    """Make an id that sorts after every id this process made before.

    Args:
        prefix: what it names: ``agent``, ``message``, ``run``, ``step``, ``block``, ...
        near: an id whose slot the new one shares; without it the slot is random.
    """
    global _last  # noqa: PLW0603 - the clock of this process
    slot = int(near[-3:], 16) if near else int.from_bytes(os.urandom(2)) % SLOTS
    with _lock:
        now, count = max(time.time_ns() // 1_000_000, _last[0]), 0
        if now == _last[0]:
            count = _last[1] + 1
            now, count = now + count // _COUNTERS, count % _COUNTERS
        _last = (now, count)
    noise = int.from_bytes(os.urandom(6))
    bits = now << 80 | 4 << 76 | count << 64 | 2 << 62 | noise << 12 | slot
    return f"{prefix}-{uuid.UUID(int=bits)}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether ``text`` is a well-formed id of this prefix."""
    match = _ID.match(text)
    return match is not None and match["prefix"] == prefix


def slot_of(identifier: str) -> int:
    """The slot of a well-formed id, ``0 <= slot < SLOTS``."""
    return int(identifier[-3:], 16)


def uuid_of(identifier: str) -> uuid.UUID:
    """The uuid of a well-formed id, as the store keeps it."""
    return uuid.UUID(identifier[-36:])
