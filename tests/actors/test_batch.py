"""Many small calls as few large ones."""

import asyncio

import pytest

from actors.batch import Batcher


class Far:
    """The other side: notes the batches it gets and answers when it is let."""

    def __init__(self, answers=None):
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self._answers = answers or (lambda item: item * 10)

    async def __call__(self, items: list[int]) -> list:
        self.batches.append(items)
        await self.open.wait()
        return [self._answers(item) for item in items]


async def until_sent(far: Far, count: int) -> None:
    async with asyncio.timeout(5):
        while len(far.batches) < count:  # noqa: ASYNC110 - nothing tells when a task has got somewhere
            await asyncio.sleep(0)


async def test_a_lone_item_is_sent_at_once():
    far = Far()
    sent = Batcher(far)(1)
    await until_sent(far, 1)
    far.open.set()
    assert await sent == 10


async def test_what_comes_while_calls_are_under_way_goes_together():
    far = Far()
    batcher = Batcher(far, calls=1)
    sent = [batcher(1)]
    await until_sent(far, 1)
    sent += [batcher(item) for item in (2, 3, 4)]
    far.open.set()
    assert await asyncio.gather(*sent) == [10, 20, 30, 40]
    assert far.batches == [[1], [2, 3, 4]]


async def test_no_more_calls_and_no_larger_batches_than_allowed():
    far = Far()
    batcher = Batcher(far, size=3, calls=2)
    sent = [batcher(item) for item in range(10)]
    await until_sent(far, 2)
    assert far.batches == [[0, 1, 2], [3, 4, 5]]
    far.open.set()
    assert await asyncio.gather(*sent) == [item * 10 for item in range(10)]
    assert max(map(len, far.batches)) == 3


async def test_an_item_fails_without_its_neighbours():
    far = Far(lambda item: ValueError("two") if item == 2 else item)
    far.open.set()
    batcher = Batcher(far)
    results = await asyncio.gather(*(batcher(item) for item in (1, 2, 3)), return_exceptions=True)
    assert [results[0], str(results[1]), results[2]] == [1, "two", 3]


async def test_a_call_that_fails_fails_its_items_and_no_later_ones():
    calls = 0

    async def send(items: list[int]) -> list[int]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("gone")
        return items

    batcher = Batcher(send, calls=1)
    first, second = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [type(first), type(second)] == [ConnectionError, ConnectionError]
    assert await batcher(3) == 3


async def test_an_item_that_nobody_waits_for_any_more_holds_up_nobody():
    far = Far()
    batcher = Batcher(far, calls=1)
    left, kept = batcher(1), batcher(2)
    await until_sent(far, 1)
    left.cancel()
    far.open.set()
    assert await kept == 20
    with pytest.raises(asyncio.CancelledError):
        await left
