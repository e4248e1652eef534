"""Times as models write them."""

from datetime import UTC, datetime, timedelta

from actors.packing import zone


def moment(parameter: str, text: str | None, timezone: str, *, end_of_day: bool = False) -> datetime | None:
    """What a model means by a date or a time; None for no text.

    Args:
        parameter: of the tool, for the error.
        timezone: the agent's, for times without one.
        end_of_day: a date means the last moment of that day.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        if end_of_day and len(text) == len("YYYY-MM-DD"):
            found += timedelta(days=1, microseconds=-1)
        return (found if found.tzinfo else found.replace(tzinfo=zone(timezone))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"Invalid {parameter} format: {text}. Use ISO 8601 format (YYYY-MM-DD or YYYY-MM-DDTHH:MM)"
        ) from error
