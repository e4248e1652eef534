"""Embeddings without a model: texts that share words point the same way."""

import re
from math import sqrt
from zlib import crc32

EMBEDDING_DIM = 256
_WORD = re.compile(r"\w+")


def embed(text: str) -> list[float]:
    """A vector of length 1 with ``EMBEDDING_DIM`` numbers, always the same for the same words."""
    vector = [0.0] * EMBEDDING_DIM
    for word in _WORD.findall(text.lower()) or [""]:
        code = crc32(word.encode())
        vector[code % EMBEDDING_DIM] += 1.0 if code >> 31 else -1.0
    length = sqrt(sum(number * number for number in vector)) or 1.0
    return [number / length for number in vector]
