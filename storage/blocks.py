"""Blocks, as their table has them."""

import orjson

from storage.records import Block


def read_block(value: str, body: str) -> Block:
    """A row of the table."""
    return Block.model_validate({**orjson.loads(body), "value": value})
