"""The scripted model's endpoint as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from actors.models.scripted_server import make_app

ROOT = Path(__file__).parents[3]
RUN = """
import sys
from actors.models.scripted_server import run_scripted_server
run_scripted_server(port=0, ready=lambda url: print(url, flush=True))
assert "openai" not in sys.modules and "letta_client" not in sys.modules
"""


@pytest.fixture
def process():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, env=environment) as running:
        yield running
        running.kill()


async def post(url, body):
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, await response.json()


async def test_it_serves_until_it_is_told_to_stop(process):
    url = process.stdout.readline().decode().strip()
    status, body = await post(
        f"{url}/chat/completions", {"messages": [{"role": "user", "content": 'say "up"'}]}
    )
    assert status == 200
    assert body["choices"][0]["message"]["content"] == "up"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


async def test_the_official_client_understands_it(serve):
    import openai  # noqa: PLC0415

    async with openai.AsyncOpenAI(api_key="none", base_url=await serve(make_app())) as client:
        assert [model.id for model in (await client.models.list()).data] == ["scripted"]
        vectors = await client.embeddings.create(model="scripted", input=["a", "b"])
        assert len(vectors.data) == 2
        tools = [{"type": "function", "function": {"name": "roll", "parameters": {"type": "object"}}}]
        messages = [{"role": "user", "content": 'think and\ncall roll {"sides": 6}'}]
        whole = await client.chat.completions.create(model="scripted", messages=messages, tools=tools)
        assert whole.choices[0].message.tool_calls[0].function.name == "roll"
        assert whole.usage.total_tokens > 0
        stream = await client.chat.completions.create(
            model="scripted",
            messages=messages,
            tools=tools,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
        assert chunks[-2].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("body", [[], {}, {"messages": [{}]}, {"messages": [], "tools": [{}]}])
async def test_requests_that_make_no_sense_are_refused(serve, body):
    status, answer = await post(f"{await serve(make_app())}/chat/completions", body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
