"""Clients that talk to a server while it is being killed, and what must hold afterwards."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

MODEL = "openai-compatible/scripted"
SECONDS = 60
"""How long a server that was killed may need until it answers again."""
AGAIN_SECONDS = 0.1
BLOCKS = [{"label": "human", "value": ""}, {"label": "persona", "value": "I am a test."}]


class Client:
    """A client of the API that tries again until it is answered."""

    def __init__(self, url: str) -> None:
        self._session = aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def try_once(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One try: status and body."""
        async with self._session.request(method, path, json=body) as response:
            return response.status, await response.json()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Try until there is an answer that is more than "not now"."""
        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(aiohttp.ClientError, ConnectionError):
                    status, answer = await self.try_once(method, path, body)
                    if status not in (429, 503):
                        return status, answer
                await asyncio.sleep(AGAIN_SECONDS)

    async def get(self, path: str) -> Any:
        status, answer = await self.call("GET", path)
        assert status == 200, answer
        return answer

    async def new_agent(self) -> str:
        status, agent = await self.call("POST", "/v1/agents", {"model": MODEL, "memory_blocks": BLOCKS})
        assert status == 200, agent
        return str(agent["id"])

    async def say(self, agent: str, text: str, otid: str | None = None) -> tuple[int, Any]:
        message = {"role": "user", "content": text, "otid": otid}
        return await self.call("POST", f"/v1/agents/{agent}/messages", {"messages": [message]})

    async def answer(self, agent: str, text: str) -> str:
        """Say something; the words that the agent answers with."""
        status, answer = await self.say(agent, text)
        assert status == 200, answer
        return str(answer["messages"][-1]["content"])

    async def messages(self, agent: str) -> list[dict[str, Any]]:
        """The whole history, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            after = f"&after={found[-1]['id']}" if found else ""
            page = await self.get(f"/v1/agents/{agent}/messages?limit=500&order=asc{after}")
            if not page:
                return found
            found += page

    async def block(self, agent: str, label: str) -> str:
        return str((await self.get(f"/v1/agents/{agent}/core-memory/blocks/{label}"))["value"])


@dataclass
class Load:
    """Sends numbered messages to agents, one after the other to each, until it is stopped. Every third
    is a fact to remember, which takes two steps."""

    client: Client
    agents: list[str]
    answered: dict[str, list[str]] = field(default_factory=dict)
    """The texts that each agent has answered."""
    failed: dict[str, list[str]] = field(default_factory=dict)
    """The texts whose runs ended as failed."""
    _stopped: bool = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._talk(agent)) for agent in self.agents]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop: every message that was sent has its answer."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    @property
    def count(self) -> int:
        return sum(map(len, self.answered.values()))

    async def more(self, count: int) -> None:
        """Wait until so many more messages have been answered."""
        wanted = self.count + count
        async with asyncio.timeout(SECONDS):
            while self.count < wanted:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def _talk(self, agent: str) -> None:
        number = 0
        while not self._stopped:
            number += 1
            text = f"remember that fact-{number}-" if number % 3 == 0 else f'say "word-{number}-"'
            status, answer = await self.client.say(agent, text, otid=f"{agent}-{number}")
            if status == 200:
                self.answered.setdefault(agent, []).append(text)
                assert f"-{number}-" in str(answer["messages"][-1]["content"]), answer
            else:
                # The server died between the two steps, and has closed the run.
                assert status == 500, answer
                assert "fact" in text, answer
                self.failed.setdefault(agent, []).append(text)

    async def check(self) -> None:
        """No message that was answered is missing or there twice, no run is open, and all agents go on."""
        assert self.count
        for agent in self.agents:
            answered, failed = self.answered.get(agent, []), self.failed.get(agent, [])
            history = await self.client.messages(agent)
            said = Counter(each["content"] for each in history if each["message_type"] == "user_message")
            assert {text: said[text] for text in answered} == dict.fromkeys(answered, 1)
            assert {text for text in failed if said[text] > 1} == set()
            assert set(said) <= {*answered, *failed}
            words = [text.removeprefix('say "').rstrip('"') for text in answered if "word" in text]
            spoken = [each["content"] for each in history if each["message_type"] == "assistant_message"]
            assert [each for each in spoken if "word" in each] == words
            noted = (await self.client.block(agent, "human")).splitlines()
            assert len(set(noted)) == len(noted)
            for text in answered:
                if "fact" in text:
                    assert sum(text.rpartition(" ")[2] in line for line in noted) == 1
            assert await self.client.answer(agent, 'say "still here"') == "still here"
            runs = await self.client.get(f"/v1/runs?agent_id={agent}&limit=1000")
            assert {run["status"] for run in runs} <= {"completed", "failed"}
            assert len({run["id"] for run in runs}) == len(runs) >= len(answered)
