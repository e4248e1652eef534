"""The scripted model, rule by rule."""

import json

import pytest

from actors.models import count
from actors.models.scripted import embed, play, respond

SYSTEM = """You are helpful.
<memory_blocks>
<persona>
<value>
My name is Sam.
</value>
</persona>
<human>
<metadata>
- read_only=false
</metadata>
<value>
{human}
</value>
</human>
</memory_blocks>
<memory_metadata>
- AGENT_ID: agent-1
</memory_metadata>"""


def tool(name, required=(), **properties):
    properties = properties or {"message": {"type": "string"}}
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": "", "parameters": parameters}


TEXT = {"type": "string"}
INSERT = tool("memory_insert", label=TEXT, new_string=TEXT)
APPEND = tool("core_memory_append", label=TEXT, content=TEXT)
REPLACE = tool("memory_replace", label=TEXT, old_string=TEXT, new_string=TEXT)
MEMORY = tool("memory", command=TEXT, path=TEXT)
ARCHIVE = tool("archival_memory_insert", content=TEXT)
SEARCH = tool("conversation_search", query=TEXT)
ROLL = tool("roll", ["sides"], sides={"type": "integer", "minimum": 4})
SEND = tool("send_message", ["message"], message=TEXT, request_heartbeat={"type": "boolean"})


def prompt(*turns, human=""):
    said = [{"role": "user", "content": turn} if isinstance(turn, str) else turn for turn in turns]
    return [{"role": "system", "content": SYSTEM.format(human=human)}, *said]


def after(messages, completion, *results):
    """The prompt of the next step, in which the calls have returned."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in completion.tool_calls
    ]
    returns = [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(calls, results, strict=True)
    ]
    return [*messages, {"role": "assistant", "content": None, "tool_calls": calls}, *returns]


def called(completion):
    return [(call.name, json.loads(call.arguments)) for call in completion.tool_calls]


@pytest.mark.parametrize(
    ("offered", "human", "arguments"),
    [
        (INSERT, "", {"label": "human", "new_string": "The user's name is Ada Lovelace."}),
        (APPEND, "", {"label": "human", "content": "The user's name is Ada Lovelace."}),
        (
            MEMORY,
            "Likes tea.",
            {
                "command": "insert",
                "path": "/memories/human",
                "insert_line": 1,
                "insert_text": "The user's name is Ada Lovelace.",
            },
        ),
        (
            REPLACE,
            "Likes tea.\nLikes rain.",
            {
                "label": "human",
                "old_string": "Likes rain.",
                "new_string": "Likes rain.\nThe user's name is Ada Lovelace.",
            },
        ),
    ],
    ids=["memory_insert", "core_memory_append", "memory", "memory_replace"],
)
def test_a_name_is_noted_with_the_memory_tool_on_offer(offered, human, arguments):
    messages = prompt("Hello, my name is Ada Lovelace.", human=human)
    first = respond(messages, [ROLL, offered])
    assert called(first) == [(offered["name"], arguments)]
    assert first.finish_reason == "tool_calls"
    second = respond(after(messages, first, "done"), [ROLL, offered])
    assert not second.tool_calls
    assert "Ada Lovelace" in second.text


def test_a_name_that_could_not_be_noted_is_not_said_to_be():
    messages = prompt("my name is Ada")
    answer = respond(after(messages, respond(messages, [INSERT]), "Error: This block is read-only"), [INSERT])
    assert "could not be saved" in answer.text


def test_without_a_memory_tool_a_name_is_only_greeted():
    answer = respond(prompt("my name is Ada"), [ROLL])
    assert not answer.tool_calls
    assert "Ada" in answer.text
    assert "no memory tool" in answer.text


@pytest.mark.parametrize("question", ["What is my name?", "who am I", "Do you know my name?"])
def test_a_name_is_recalled_from_the_block_not_from_the_persona(question):
    assert (
        respond(prompt(question, human="Name: Bo\nThe user's name is Ada."), []).text == "Your name is Ada."
    )
    assert "do not know" in respond(prompt(question), []).text


def test_a_name_is_recalled_from_earlier_messages():
    assert respond(prompt("My name is Ada.", "What's my name?"), []).text == "Your name is Ada."


def test_line_numbers_in_a_block_are_no_part_of_it():
    assert respond(prompt("what is my name", human="1→ Name: Ada"), []).text == "Your name is Ada."


def test_facts_are_noted_and_found_again():
    first = respond(prompt("Please remember that my dog is called Rex."), [INSERT])
    [(_, arguments)] = called(first)
    assert "my dog is called Rex" in arguments["new_string"]
    block = f"Likes tea.\n{arguments['new_string']}"
    assert "Rex" in respond(prompt("What is my dog called?", human=block), []).text
    assert "nothing noted" in respond(prompt("Where is my umbrella?", human=block), []).text


def test_a_fact_goes_into_the_archive_when_that_is_all_there_is():
    assert called(respond(prompt("remember that I moved"), [ARCHIVE]))[0][0] == "archival_memory_insert"


def test_named_tools_are_called_together_or_one_by_one():
    messages = prompt('call roll {"sides": 6}\ncall roll {"sides": 20}\ncall other {}')
    together = respond(messages, [ROLL])
    assert called(together) == [("roll", {"sides": 6}), ("roll", {"sides": 20}), ("other", {})]
    made = []
    for result in ("4", "17", "x"):
        one = respond(messages, [ROLL], parallel=False)
        made += called(one)
        messages = after(messages, one, result)
    assert made == called(together)
    answer = respond(messages, [ROLL], parallel=False)
    assert answer.text == "roll returned: 4\nroll returned: 17\nother returned: x"


def test_arguments_may_take_several_lines_or_be_no_json():
    many = respond(prompt('call roll {\n  "sides": 6\n}'), [ROLL])
    assert called(many) == [("roll", {"sides": 6})]
    assert respond(prompt("call roll {oops"), [ROLL]).tool_calls[0].arguments == "{oops"


def test_talk_of_calling_is_no_call():
    assert not respond(prompt("please call mother"), [ROLL]).tool_calls


def test_quotes_and_thoughts():
    assert respond(prompt("Please repeat “blue cat”"), []).text == "blue cat"
    answer = respond(prompt('think hard, then say "four"'), [])
    assert answer.text == "four"
    assert answer.reasoning
    assert answer.usage.reasoning_tokens == count(answer.reasoning)


def test_search():
    messages = prompt('search our messages for "lighthouse"')
    first = respond(messages, [SEARCH])
    assert called(first) == [("conversation_search", {"query": "lighthouse"})]
    assert "3 results" in respond(after(messages, first, "Showing 3 results"), [SEARCH]).text
    assert "no tool to search" in respond(messages, [ROLL]).text


def summary_of(text):
    instruction = {"role": "system", "content": "Your task is to summarize the conversation."}
    return respond([instruction, {"role": "user", "content": text}], []).text


def test_a_summary_keeps_facts_however_much_was_said_since_and_stays_short():
    facts = ["My name is Ada Lovelace.", "Remember that the gate code is 4711."]
    talk = [f"then {n} things happened {'so ' * n}" for n in range(400)]
    summary = summary_of("\n".join([*facts, *talk]))
    assert all(fact in summary for fact in facts)
    assert len(summary) <= 2_000
    assert all(fact in summary_of(f"A summary so far:\n{summary}") for fact in facts)


def test_a_summary_prefers_names_and_numbers_to_chatter():
    summary = summary_of("We met Grace Hopper.\nIt was 1952.\nthat was nice\nvery nice")
    assert summary == "We met Grace Hopper.\nIt was 1952."


def test_an_agent_is_not_taken_for_a_summariser():
    messages = prompt("hello")
    messages[0]["content"] = f"Write a summary now and then.\n{messages[0]['content']}"
    assert "no language model" in respond(messages, []).text
    assert "no language model" not in respond(prompt("My cat is 3.", "Summarise what I said"), [ROLL]).text


def test_anything_else_gets_an_honest_answer():
    answer = respond(prompt("What do you think of Kant?"), [ROLL])
    assert "no language model" in answer.text
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("text", ["hello", "my name is Ada"])
def test_a_tool_that_is_asked_for_is_called(text):
    assert called(respond(prompt(text), [INSERT, ROLL], "roll")) == [("roll", {"sides": 4})]


def test_some_tool_is_called_when_one_must_be_and_rather_a_new_one():
    messages = prompt("hello")
    first = respond(messages, [ROLL, SEARCH], "required")
    assert [name for name, _ in called(first)] == ["roll"]
    second = respond(after(messages, first, "4"), [ROLL, SEARCH], "required")
    assert [name for name, _ in called(second)] == ["conversation_search"]


def test_no_tool_is_called_when_none_may_be():
    assert not respond(prompt('call roll {"sides": 6}'), [ROLL], "none").tool_calls


def test_answers_go_through_send_message_when_a_call_is_required():
    heartbeat = {"request_heartbeat": {"type": "boolean"}}
    insert = tool("memory_insert", label=TEXT, new_string=TEXT, thinking=TEXT, **heartbeat)
    packed = json.dumps({"type": "user_message", "message": "My name is Ada.", "time": "now"})
    messages = prompt(packed)
    first = respond(messages, [SEND, insert], "required")
    [(name, arguments)] = called(first)
    assert name == "memory_insert"
    assert arguments["request_heartbeat"] is True
    assert arguments["thinking"]
    status = json.dumps({"status": "OK", "message": "done", "time": "now"})
    beat = json.dumps({"type": "heartbeat", "reason": "Function called", "time": "now"})
    next_step = [*after(messages, first, status), {"role": "user", "content": beat}]
    [(name, arguments)] = called(respond(next_step, [SEND, insert], "required"))
    assert name == "send_message"
    assert "Ada" in arguments["message"]
    assert arguments["request_heartbeat"] is False


def test_a_tool_that_must_be_called_before_the_end_is_called():
    notice = json.dumps(
        {
            "type": "heartbeat",
            "reason": "ToolRuleViolated: You must call roll at least once to exit the loop.",
        }
    )
    assert [name for name, _ in called(respond(prompt("hi", notice), [SEARCH, ROLL]))] == ["roll"]


def test_messages_may_have_parts():
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": 'say "seen"'}]
    assert respond(prompt({"role": "user", "content": parts}), []).text == "seen"


async def test_a_given_pace_is_kept_word_by_word(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("actors.models.scripted.playback.asyncio.sleep", sleep)
    answer = respond(prompt('say "one two three"'), [])
    words = [delta.text async for delta in play(answer, latency_ms=500, tokens_per_second=10)]
    assert words == ["one", " two", " three"]
    assert slept[0] == 0.5
    assert slept[1:] == [pytest.approx(0.1, abs=0.05), pytest.approx(0.2, abs=0.05)]


def test_embeddings_of_similar_texts_are_similar():
    def likeness(one, other):
        return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))

    assert likeness("the red fox runs", "the red fox sleeps") > likeness("the red fox runs", "tax law")
    assert likeness("anything", "anything") == pytest.approx(1)
    assert likeness("", "") == pytest.approx(1)


@pytest.mark.parametrize(
    "text",
    [
        "search ",
        "say “",
        'say "x',
        "what about ",
        "call x {\n",
        "\n",
        "remember ",
        "a summary of ",
        "my name is ",
    ],
)
def test_no_message_takes_long_to_read(text):
    """A rule whose work grows with the square of a message's length would take minutes here."""
    assert respond(prompt(text * (500_000 // len(text))), [ROLL]).finish_reason
