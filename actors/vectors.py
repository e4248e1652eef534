"""Vectors from embedding models, as they are stored."""

import math
from array import array

from actors.models import ModelError


def packed(vector: list[float], model: str) -> bytes:
    """A vector as float32 numbers.

    Args:
        model: what made it, for the error.

    Raises:
        ModelError: it is no vector.
    """
    try:
        numbers = array("f", vector)
    except (TypeError, OverflowError):
        numbers = array("f", [math.nan])
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"The embedding model {model} gave a vector that is none.")
    return numbers.tobytes()
