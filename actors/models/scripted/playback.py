"""A finished answer, told at the pace of a model that writes it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

from actors.models.request import Completion, ModelDelta

_WORDS = re.compile(r"\s*\S+|\s+$")
SHORTEST_SLEEP = 0.002


async def play(
    completion: Completion, *, latency_ms: float = 0, tokens_per_second: float = 0
) -> AsyncIterator[ModelDelta]:
    """Give the answer word by word.

    Args:
        completion: the answer.
        latency_ms: milliseconds before the first word.
        tokens_per_second: words a second; 0 is as fast as it can.
    """
    if latency_ms:
        await asyncio.sleep(latency_ms / 1000)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number, delta in enumerate(_deltas(completion)):
        if tokens_per_second:
            ahead = start + number / tokens_per_second - loop.time()
            if ahead > SHORTEST_SLEEP:
                await asyncio.sleep(ahead)
        yield delta


def _deltas(completion: Completion) -> Iterator[ModelDelta]:
    for word in _WORDS.findall(completion.reasoning or ""):
        yield ModelDelta("reasoning", word)
    for word in _WORDS.findall(completion.text or ""):
        yield ModelDelta("text", word)
    for index, call in enumerate(completion.tool_calls):
        yield ModelDelta("tool_call", "", index, call.id, call.name)
        for word in _WORDS.findall(call.arguments):
            yield ModelDelta("tool_call", word, index)
