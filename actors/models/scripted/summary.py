"""An extractive summary: the sentences most worth keeping, in their order."""

import re

LONGEST = 2_000
LONGEST_SENTENCE = 300

ASKS_SUMMARY = re.compile(r"(?i)\bsummari[sz]e\b|\b(?:a|the|your|write|create)\s+(?:\w+\s+){0,3}summary\b")
_BREAK = re.compile(r"(?<=[.!?])\s+|\n+")
_FACT = re.compile(r"(?i)\bremember\b|\bname is\b|\bfavou?rite\b|\bmy \w+ (?:is|are)\b")
_NAME_OR_NUMBER = re.compile(r"\d|(?<=[a-z,;:] )[A-Z][a-z]+")


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _BREAK.split(text) if part.strip()]


def facts(text: str) -> list[str]:
    """The sentences of a text that state something to remember."""
    return [sentence for sentence in sentences(text) if _FACT.search(sentence)]


def summarise(texts: list[str]) -> str:
    """Keep facts first, then sentences with names and numbers, the newest first, up to
    ``LONGEST`` characters. What asks for a summary is left out."""
    said = [s[:LONGEST_SENTENCE] for s in sentences("\n".join(texts))]
    found = dict.fromkeys([s for s in said if not ASKS_SUMMARY.search(s)] or said)
    ranked = sorted(
        enumerate(found),
        key=lambda numbered: (
            not _FACT.search(numbered[1]),
            not _NAME_OR_NUMBER.search(numbered[1]),
            -numbered[0],
        ),
    )
    kept: list[tuple[int, str]] = []
    room = LONGEST
    for position, sentence in ranked:
        if not (_FACT.search(sentence) or _NAME_OR_NUMBER.search(sentence)) and kept:
            break
        if len(sentence) < room:
            kept.append((position, sentence))
            room -= len(sentence) + 1
    return "\n".join(sentence for _, sentence in sorted(kept)) or "Nothing was said."
