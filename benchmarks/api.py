"""The requests that are measured, as lean as a client can make them."""

import time
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from benchmarks.load import RequestFailed

JSON = {"Content-Type": "application/json"}
TIMEOUT = aiohttp.ClientTimeout(total=120)
ANSWERED = b'"stop_reason":"end_turn"'
FIRST_TOKEN = b'"message_type":"assistant_message"'
HUMAN = "The human's name is Bob the Builder."
PERSONA = "My name is Sam, the all-knowing sentient AI."


class Api:
    """A client of a running server. What takes a measured time answers it, in seconds.

    Args:
        url: where the server listens.
    """

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/agents/"
        self._metrics_url = f"{url}/metrics"
        self._sent = 0

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def create_agent(self, model: str, tags: list[str] | None = None) -> str:
        """Create an agent with the usual two blocks; answers its id.

        Args:
            model: handle of the agent's model.
            tags: to find it by.
        """
        agent = {
            "model": model,
            "memory_blocks": [{"label": "human", "value": HUMAN}, {"label": "persona", "value": PERSONA}],
            "tags": tags or [],
        }
        created = orjson.loads(await self._request("POST", self._url, agent))
        return str(created["id"])

    async def send(self, agent_id: str) -> float:
        """Send a message and wait for the whole answer."""
        start = time.perf_counter()
        answer = await self._request("POST", f"{self._url}{agent_id}/messages", self._message())
        if ANSWERED not in answer:
            raise RequestFailed(f"no answer: {answer[-200:]!r}")
        return time.perf_counter() - start

    async def stream(self, agent_id: str) -> float:
        """Send a message and read the answer token by token; answers the time to the first one."""
        start = time.perf_counter()
        first: float | None = None
        tail = b""
        body = orjson.dumps({**self._message(), "stream_tokens": True})
        url = f"{self._url}{agent_id}/messages/stream"
        try:
            async with self._http.post(url, data=body, headers=JSON) as response:
                if response.status != 200:
                    raise RequestFailed(f"{response.status}: {(await response.read())[:200]!r}")
                async for data in response.content.iter_any():
                    tail = tail[-1000:] + data
                    if first is None and FIRST_TOKEN in tail:
                        first = time.perf_counter() - start
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RequestFailed(repr(error)) from error
        if first is None or ANSWERED not in tail:
            raise RequestFailed(f"no answer: {tail[-200:]!r}")
        return first

    async def retrieve(self, agent_id: str) -> float:
        start = time.perf_counter()
        await self._request("GET", self._url + agent_id)
        return time.perf_counter() - start

    async def list_agents(self, tag: str, limit: int) -> float:
        """List the newest agents with a tag, a full page of them."""
        start = time.perf_counter()
        page = await self._request("GET", f"{self._url}?tags={tag}&limit={limit}")
        seconds = time.perf_counter() - start
        found = len(orjson.loads(page))
        if found != limit:
            raise RequestFailed(f"a page of {found} agents instead of {limit}")
        return seconds

    async def prompt(self, agent_id: str, messages: int) -> dict[str, Any]:
        """What a model is given for the agent: its system prompt, the first of its messages, its tools.

        Args:
            messages: how many messages of the user's and the model's; the last one is the user's.
        """
        url = f"{self._url}{agent_id}/messages?limit=1000&order=asc"
        history = orjson.loads(await self._request("GET", url))
        said = [
            {"role": message["message_type"].removesuffix("_message"), "content": message["content"]}
            for message in history
            if message["message_type"] in ("system_message", "user_message", "assistant_message")
        ]
        chat = said[: 1 + messages]
        while chat[-1]["role"] != "user":
            chat.pop()
        agent = orjson.loads(await self._request("GET", f"{self._url}{agent_id}?include=agent.tools"))
        return {"messages": chat, "tools": [tool["json_schema"] for tool in agent["tools"]]}

    async def awake(self) -> int:
        """How many agents are in memory."""
        metrics = await self._request("GET", self._metrics_url)
        lines = dict(line.rsplit(b" ", 1) for line in metrics.splitlines() if not line.startswith(b"#"))
        return int(float(lines[b"greenroom_agents"]))

    def _message(self) -> dict[str, Any]:
        self._sent += 1
        return {"messages": [{"role": "user", "content": f"hows it going???? ({self._sent})"}]}

    async def _request(self, method: str, url: str, body: dict[str, Any] | None = None) -> bytes:
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._http.request(method, url, data=data, headers=JSON) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RequestFailed(repr(error)) from error
        if response.status != 200:
            raise RequestFailed(f"{response.status}: {answer[:200]!r}")
        return answer
