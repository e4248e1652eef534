"""The rules of the scripted model, in the order they are tried on the newest message.

A rule gives a plan: the tools to call, one by one or all at once, and what to say when they have
returned. It is asked again on every step, so what it says may quote what the tools returned.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from actors.models.scripted.prompt import Prompt
from actors.models.scripted.summary import ASKS_SUMMARY, facts, sentences, summarise

MOST_CALLS = 32
_WORD = r"[^\W\d_][\w'\u2019-]*"
_CAPITALIZED = r"[A-ZÀ-ÖØ-ÞĀ-Ž][\w'\u2019-]*"
_NAME = rf"(?P<name>{_CAPITALIZED}(?:[ ]{_CAPITALIZED}){{0,3}}|{_WORD})"

# What may repeat has a bound, so that no message takes long to read.
CALL = re.compile(r"^[ \t]*call[ \t]+(?P<tool>[\w.-]+)[ \t]*(?P<rest>\{.*)?$", re.MULTILINE)
SEARCH = re.compile(r"(?is)\bsearch\b.{0,200}?\bfor\s{1,9}[\"“](?P<query>[^\"”]{1,500})[\"”]")
ASKS_NAME = re.compile(
    r"(?i)\bwhat(?:['\u2019]s| is| was)? my name|\bwho am i\b|\b(?:know|remember) my name\b"
)
TELLS_NAME = re.compile(rf"(?i:\bmy name is)\s+{_NAME}")
REMEMBER = re.compile(
    r"(?i)^[ ]{0,9}(?:please )?remember(?: that)?[: ]{1,9}(?P<fact>[^\s:][^\n]*)", re.MULTILINE
)
SAY = re.compile(r"(?i)\b(?:say|repeat)\b[^\"“\n]{0,200}[\"“]")
QUOTE_END = re.compile(r"[\"”]")
ASKS_FACT = re.compile(
    r"(?i)\b(?:what|who|where|when|which|know|remember)\b.{0,200}?\bmy (?P<subject>[^?.!\n]{1,200})"
)
THINK = re.compile(r"(?i)^\s*think\b")
MUST_CALL = re.compile(r"(?i)must call (?P<tool>[\w.-]+)")
KNOWN_NAME = re.compile(rf"(?i:\bname(?: is|['\u2019]s|:))\s*{_NAME}")

_SMALL_WORDS = set("is are was the a an of in on to my called named about".split())  # noqa: SIM905


@dataclass(slots=True)
class Call:
    tool: str
    arguments: dict[str, Any] | str
    """As text when the user gave something that is no JSON object: it is passed on as it is."""


@dataclass(slots=True)
class Plan:
    say: str
    calls: list[Call] = field(default_factory=list)
    reasoning: str | None = None


Rule = Callable[[Prompt], Plan | None]


def make_plan(prompt: Prompt) -> Plan:
    """The plan of the first rule that applies."""
    plan = next(plan for rule in RULES if (plan := rule(prompt)))
    if THINK.search(prompt.user):
        plan.reasoning = f'I was asked to think: "{_short(prompt.user)}". I only follow fixed rules.'
    return plan


def obliged(prompt: Prompt) -> Plan | None:
    match = MUST_CALL.search(prompt.notice)
    if match and match["tool"] in prompt.tools:
        return Plan(_report(prompt), [Call(match["tool"], {})])
    return None


def summary(prompt: Prompt) -> Plan | None:
    bare = not prompt.tools and "<memory_metadata>" not in prompt.system
    asked = ASKS_SUMMARY.search(prompt.user) or (bare and ASKS_SUMMARY.search(prompt.system))
    return Plan(summarise(prompt.texts)) if asked and not prompt.called else None


def named_calls(prompt: Prompt) -> Plan | None:
    calls = []
    for match in islice(CALL.finditer(prompt.user), MOST_CALLS):
        if match["rest"]:
            calls.append(Call(match["tool"], _arguments(prompt.user, match)))
        elif match["tool"] in prompt.tools:
            calls.append(Call(match["tool"], {}))
    if not calls:
        return None
    if not prompt.tools:
        return Plan("No tools are offered to me, so I cannot call any.")
    return Plan(_report(prompt), calls)


def search(prompt: Prompt) -> Plan | None:
    match = SEARCH.search(prompt.user)
    if match is None:
        return None
    for tool in ("conversation_search", "archival_memory_search"):
        if tool in prompt.tools:
            return Plan(_report(prompt), [Call(tool, {"query": match["query"]})])
    return Plan("I am offered no tool to search with.")


def recall_name(prompt: Prompt) -> Plan | None:
    if not ASKS_NAME.search(prompt.user):
        return None
    noted = list(KNOWN_NAME.finditer(prompt.block("human") or ""))
    if noted:
        return Plan(f"Your name is {noted[-1]['name']}.")
    for text in [*prompt.said[1:], *reversed(prompt.texts)]:
        if match := TELLS_NAME.search(text) or re.search(rf"(?i:the user's name is)\s+{_NAME}", text):
            return Plan(f"Your name is {match['name']}.")
    return Plan("I do not know your name: it is neither in my memory blocks nor in the messages I see.")


def learn_name(prompt: Prompt) -> Plan | None:
    match = TELLS_NAME.search(prompt.user)
    if match is None:
        return None
    return _note(prompt, f"The user's name is {match['name']}.", f"Nice to meet you, {match['name']}!")


def remember(prompt: Prompt) -> Plan | None:
    match = REMEMBER.search(prompt.user)
    if match is None:
        return None
    fact = match["fact"].strip().rstrip(".")
    return _note(prompt, f"The user asked to remember: {fact}.", f"I have noted: {fact}.")


def say(prompt: Prompt) -> Plan | None:
    begin = SAY.search(prompt.user)
    end = QUOTE_END.search(prompt.user, begin.end()) if begin else None
    return Plan(prompt.user[begin.end() : end.start()]) if begin and end else None


def recall_fact(prompt: Prompt) -> Plan | None:
    match = ASKS_FACT.search(prompt.user)
    if match is None:
        return None
    wanted = {word for word in re.findall(r"\w+", match["subject"].lower()) if word not in _SMALL_WORDS}
    known = [*sentences(prompt.block("human") or ""), *(s for text in prompt.said[1:] for s in facts(text))]
    best = max(known, key=lambda s: len(wanted & set(re.findall(r"\w+", s.lower()))), default="")
    if wanted & set(re.findall(r"\w+", best.lower())):
        return Plan(f"This is what I have noted: {best}")
    return Plan(f"I have nothing noted about your {match['subject'].strip()}.")


def anything(prompt: Prompt) -> Plan:
    if prompt.returned:
        return Plan(_report(prompt))
    return Plan(
        "I am greenroom/scripted, a stand-in that follows fixed rules and no language model."
        + (f' I read: "{_short(prompt.user)}"' if prompt.user else "")
    )


RULES: list[Rule] = [
    obliged,
    summary,
    named_calls,
    search,
    recall_name,
    learn_name,
    remember,
    say,
    recall_fact,
    anything,
]


def _note(prompt: Prompt, sentence: str, answer: str) -> Plan:
    label = "human"
    value = prompt.block(label) or ""
    if sentence in value:
        return Plan(answer)
    lines = value.splitlines()
    edits: dict[str, dict[str, Any] | None] = {
        "memory_insert": {"label": label, "new_string": sentence},
        "core_memory_append": {"label": label, "content": sentence},
        "memory": {
            "command": "insert",
            "path": f"/memories/{label}",
            "insert_line": len(lines),
            "insert_text": sentence,
        },
        "memory_replace": {
            "label": label,
            "old_string": lines[-1],
            "new_string": f"{lines[-1]}\n{sentence}",
        }
        if lines
        else None,
        "archival_memory_insert": {"content": sentence},
    }
    for tool, arguments in edits.items():
        if tool in prompt.tools and arguments is not None:
            if any(result.name == tool and _failed(result.content) for result in prompt.returned):
                answer = f"{answer} My note of it could not be saved. {_report(prompt)}"
            return Plan(answer, [Call(tool, arguments)])
    return Plan(f"{answer} I am offered no memory tool, so I only know it from this conversation.")


def _arguments(text: str, call: re.Match[str]) -> dict[str, Any] | str:
    try:
        value, _ = json.JSONDecoder().raw_decode(text, call.start("rest"))
    except ValueError:
        return call["rest"]
    return dict(value)


def _report(prompt: Prompt) -> str:
    return "\n".join(f"{result.name} returned: {_short(result.content, 500)}" for result in prompt.returned)


def _failed(content: str) -> bool:
    return content.lstrip().lower().startswith(("error", '{"status": "failed"', '{"status":"failed"'))


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
