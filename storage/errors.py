"""What can go wrong, as one family: a message for people and a code for programs.

Every error of the project derives from :class:`GreenroomError`. The HTTP status of each is decided
in one place, ``server/errors.py``.
"""


class GreenroomError(Exception):
    """Something went wrong."""

    code = "internal_error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])

    @property
    def message(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type, tuple[object, ...], dict[str, object]]:
        # Errors cross process borders: whatever a subclass keeps travels in its __dict__.
        return type(self), (self.message,), self.__dict__


class NotFound(GreenroomError):
    """There is nothing under this id."""

    code = "not_found"


class InvalidArgument(GreenroomError):
    """The request asks for something that cannot be done."""

    code = "invalid_argument"


class Conflict(GreenroomError):
    """The request contradicts the current state."""

    code = "conflict"


class Busy(GreenroomError):
    """Too much is waiting already; try again in a moment."""

    code = "busy"
    retry_after = 1


class Unavailable(GreenroomError):
    """A part of the server is not running right now; try again in a moment."""

    code = "unavailable"
    retry_after = 1


class StoreError(GreenroomError):
    """The store cannot be used."""

    code = "store_error"


class StoreLocked(StoreError):
    """Another process holds the store."""

    code = "store_locked"


class StoreCorrupt(StoreError):
    """A file of the store is damaged."""

    code = "store_corrupt"


class StoreTooNew(StoreError):
    """The store was written by a newer version."""

    code = "store_too_new"


class StoreFull(StoreError):
    """The disk is full or the store cannot be written."""

    code = "store_full"


class StaleEpoch(StoreError):
    """Another activation of this agent has taken over."""

    code = "stale_epoch"


class SequenceGap(StoreError):
    """The checkpoint does not follow the last one."""

    code = "sequence_gap"


class StaleBlock(StoreError):
    """A block has changed since it was read."""

    code = "stale_block"


class ArchiveGone(NotFound):
    """The archive is deleted."""
