"""Counting tokens, with and without a vocabulary at hand."""

import threading

import pytest
import tiktoken

from actors.models import tokens
from actors.models.tokens import count, estimate, estimate_prompt, is_exact


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(tokens, "_encodings", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))


def wait_for_loader():
    for thread in threading.enumerate():
        if thread.name == "tiktoken":
            thread.join()


def test_without_a_vocabulary_it_is_an_estimate_and_says_so(monkeypatch):
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: pytest.fail("tried to load"))
    assert count("eight chars, and more") == estimate("eight chars, and more")
    assert not is_exact("gpt-4o")


def test_a_cached_vocabulary_is_loaded_in_the_background_and_used(monkeypatch):
    one_a_byte = tiktoken.Encoding(
        "bytes", pat_str=r"[\s\S]", mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={}
    )
    asked = []
    gate = threading.Event()

    def load(name):
        asked.append(name)
        gate.wait()
        return one_a_byte

    monkeypatch.setattr(tiktoken, "get_encoding", load)
    tokens._cached_file("o200k_base").touch()
    assert count("x" * 40, "gpt-4o") == 10, "nobody waits for the vocabulary"
    gate.set()
    wait_for_loader()
    assert count("x" * 40, "gpt-4o") == 40
    assert is_exact("gpt-4o")
    assert not is_exact("gpt-4-turbo"), "it has another vocabulary"
    assert asked == ["o200k_base"]
    assert count("x" * 60_000) == 15_000, "what is very long is estimated all the same"


def test_a_broken_vocabulary_is_reported_and_does_no_harm(monkeypatch, caplog):
    def fail(name):
        raise ValueError("no vocabulary")

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    tokens._cached_file("o200k_base").touch()
    count("hello")
    wait_for_loader()
    assert count("hello") == estimate("hello")
    assert "no vocabulary" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("x", 1), ("x" * 400, 100), ("ж" * 400, 200), ("語" * 400, 300), ("\ud83d", 1)],
)
def test_an_estimate_is_four_bytes_a_token(text, expected):
    assert estimate(text) == expected


def test_a_prompt_counts_everything_in_it():
    message = {"role": "user", "content": "x" * 400}
    call = {"id": "1", "function": {"name": "roll", "arguments": '{"sides": 6}'}}
    base = estimate_prompt([message], [])
    assert base >= 100
    assert estimate_prompt([message, {"role": "assistant", "content": None, "tool_calls": [call]}], []) > base
    assert estimate_prompt([message], [{"name": "roll", "parameters": {}}]) > base
    parts = [{"type": "text", "text": "x" * 400}, {"type": "image_url", "image_url": {"url": "x" * 10**6}}]
    assert base < estimate_prompt([{"role": "user", "content": parts}], []) < base + 2_000
