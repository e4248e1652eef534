"""The way to one provider: the openai SDK underneath, everything that can go wrong on top.

Of the SDK only its lowest public layer is used, ``client.post`` with bytes in and the HTTP response
out. Its typed methods cost several times as much a call as everything else that happens in a turn.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import orjson

from actors.models.answer import OnDelta, Pieces, parse_vectors
from actors.models.errors import ContextWindowExceeded, ModelBadRequest, ModelError
from actors.models.failures import from_exception, from_status
from actors.models.payload import build, refused_parameter
from actors.models.providers import Provider
from actors.models.request import Completion, ModelRequest
from actors.models.tokens import estimate_prompt
from storage.errors import Busy

if TYPE_CHECKING:
    import httpx2
    import openai

WAITING_PER_CALL = 4
STREAM_TIMEOUTS = 10
"""A stream may go on for this many times the longest pause between two of its pieces."""
LARGEST_ANSWER = 32 * 2**20
CONNECT_SECONDS = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60
"""Seconds. A provider that asks to wait longer has refused."""
TEXTS_PER_CALL = 256
HEADERS = {"Content-Type": "application/json"}

T = TypeVar("T")


class Client:
    """One provider. Its connections are made when they are first needed.

    Args:
        provider: where and with which key.
        calls: calls in flight; ``WAITING_PER_CALL`` times as many may wait.
        timeout: seconds an answer may take, or a stream may pause.
        retries: further tries after a failure that may pass.
    """

    def __init__(self, provider: Provider, *, calls: int, timeout: float, retries: int) -> None:
        self.provider = provider
        self._calls = calls
        self._timeout = timeout
        self._retries = retries
        self._slots = asyncio.Semaphore(calls)
        self._waiting = 0
        self._opening = asyncio.Lock()
        self._sdk: openai.AsyncOpenAI | None = None
        self._refused: dict[str, set[str]] = {}

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None) -> Completion:
        """Call a model; see :meth:`Models.complete`."""
        refused = self._refused.setdefault(request.llm.model, set())

        async def attempt() -> Completion:
            while True:
                stream = on_delta is not None
                body = build(request, self.provider.endpoint_type, stream=stream, refused=refused)
                try:
                    return await self._answer(request, body, on_delta)
                except ContextWindowExceeded:
                    raise
                except ModelBadRequest as error:
                    parameter = refused_parameter(error.detail or "", body)
                    if parameter is None:
                        raise
                    refused.add(parameter)

        return await self._retrying(attempt)

    async def embed(self, model: str, texts: list[str]) -> list[list[float]]:
        """Vectors for texts, in their order."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), TEXTS_PER_CALL):
            part = texts[start : start + TEXTS_PER_CALL]
            body = {"model": model, "input": part, "encoding_format": "float"}

            async def attempt(body: dict[str, Any] = body) -> list[list[float]]:
                return parse_vectors(await self._post("/embeddings", body), self.provider, len(body["input"]))

            vectors += await self._retrying(attempt)
        return vectors

    async def close(self) -> None:
        if self._sdk is not None:
            await self._sdk.close()

    async def _retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        for failed in range(self._retries):
            try:
                return await attempt()
            except ModelError as error:
                pause = error.retry_after or FIRST_PAUSE * 2**failed * random.uniform(0.5, 1)  # noqa: S311
                if not error.transient or pause > LONGEST_PAUSE:
                    raise
            await asyncio.sleep(pause)
        return await attempt()

    async def _answer(
        self, request: ModelRequest, body: dict[str, Any], on_delta: OnDelta | None
    ) -> Completion:
        pieces = Pieces(self.provider, on_delta)
        try:
            if on_delta:
                await self._stream(body, pieces)
            else:
                pieces.whole(await self._post("/chat/completions", body))
            return pieces.finish(lambda: estimate_prompt(request.messages, request.tools))
        except ModelError as error:
            # What has been told cannot be taken back, so there is no second try.
            error.transient = error.transient and not pieces.begun
            raise

    async def _post(self, path: str, body: dict[str, Any]) -> bytes:
        async with self._response(path, body, self._timeout) as response:
            return b"".join([data async for data in self._data(response)])

    async def _stream(self, body: dict[str, Any], pieces: Pieces) -> None:
        seconds = self._timeout * STREAM_TIMEOUTS
        async with self._response("/chat/completions", body, seconds) as response:
            if "json" in response.headers.get("content-type", ""):
                # Some servers do not stream, and say so only by answering in one piece.
                pieces.whole(b"".join([data async for data in self._data(response)]))
                return
            async for data in self._data(response):
                pieces.feed(data)

    async def _data(self, response: "httpx2.Response") -> AsyncIterator[bytes]:
        size = 0
        async for data in response.aiter_bytes():
            size += len(data)
            if size > LARGEST_ANSWER:
                raise ModelError(f"The answer of {self.provider.name} does not come to an end")
            yield data

    @asynccontextmanager
    async def _response(
        self, path: str, body: dict[str, Any], seconds: float
    ) -> AsyncIterator["httpx2.Response"]:
        sdk = self._sdk or await self._open()
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415

        async with self._slot():
            try:
                async with asyncio.timeout(seconds):
                    # With this ``cast_to`` the SDK gives the response itself, unread, whatever the
                    # type of ``stream_cls`` promises.
                    answer: Any = await sdk.post(
                        path,
                        cast_to=httpx2.Response,
                        content=orjson.dumps(body),
                        options={"headers": HEADERS},
                        stream=True,
                        stream_cls=openai.AsyncStream[Any],
                    )
                    response: httpx2.Response = answer
                    try:
                        yield response
                    finally:
                        await response.aclose()
            except openai.APIStatusError as error:
                raise from_status(
                    self.provider, error.status_code, error.body, error.response.headers
                ) from None
            except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError, TimeoutError) as error:
                raise from_exception(self.provider, error) from None

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._slots.locked() and self._waiting >= WAITING_PER_CALL * self._calls:
            raise Busy(f"Too many calls wait for the model provider {self.provider.name}")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _open(self) -> "openai.AsyncOpenAI":
        async with self._opening:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(self._connect)
        return self._sdk

    def _connect(self) -> "openai.AsyncOpenAI":
        # Takes most of a second and 40 MB, which a process that talks to no provider is spared.
        import httpx2  # noqa: PLC0415
        import openai  # noqa: PLC0415

        timeout = httpx2.Timeout(self._timeout, connect=min(CONNECT_SECONDS, self._timeout))
        limits = httpx2.Limits(max_connections=self._calls, max_keepalive_connections=self._calls)
        key = self.provider.api_key
        return openai.AsyncOpenAI(
            api_key=key.get_secret_value() if key else "none",
            base_url=self.provider.base_url,
            timeout=timeout,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(timeout=timeout, limits=limits),
        )
