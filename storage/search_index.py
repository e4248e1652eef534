"""The full-text index of a shard, which ranks texts by BM25: a tantivy index in a directory.

It is derived data. A commit of the index takes in texts and the number of the log entry up to which it
is complete, both or neither, so it always knows what it does not have yet. An index that is missing,
damaged or of an older layout is made anew, empty.
"""

import logging
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import tantivy
from tantivy import FieldType, Filter, Occur, Query, SchemaBuilder, TextAnalyzerBuilder, Tokenizer

from storage.errors import StoreError

LAYOUT = 1
"""Changes with the fields and with how text is split into words."""
EMPTY = -1
"""The log entry that an index without anything is complete up to."""
MEMORY = 32 << 20
LONGEST_WORD = 100
QUERY_WORDS = 64
"""Words of a query that count."""
# The parameters with which tantivy ranks.
K1 = 1.2
B = 0.75
TYPICAL_WORDS = 30

# Scripts that put no space between words are searched by their single characters.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_PHRASE = re.compile(r'"([^"]*)"')
_PROGRESS = "progress"
_log = logging.getLogger(__name__)

analyzer = (
    TextAnalyzerBuilder(Tokenizer.regex(rf"[{_UNSPACED}]|[\w--[{_UNSPACED}]]+"))
    .filter(Filter.lowercase())
    .filter(Filter.ascii_fold())
    .filter(Filter.remove_long(LONGEST_WORD))
    .build()
)


class IndexDamaged(StoreError):
    """The search index cannot be read or written."""


@dataclass(slots=True, frozen=True)
class Text:
    """What can be found. Times are UTC, without saying so."""

    kind: str
    """What it is the text of: ``message`` or ``passage``."""
    id: UUID
    owner: UUID
    """The agent or the archive that it belongs to."""
    role: str
    created_at: datetime
    text: str
    tags: Sequence[str] = ()


@dataclass(slots=True, frozen=True)
class Scope:
    """Which texts are searched. What is left empty is not looked at."""

    kind: str
    owner: UUID | None = None
    roles: Sequence[str] = ()
    tags: Sequence[str] = ()
    match_all_tags: bool = False
    start: datetime | None = None
    end: datetime | None = None
    without: Sequence[UUID] = ()
    """Owners whose texts are to be left out."""


class Match(NamedTuple):
    score: float
    id: UUID
    role: str


@dataclass(slots=True, frozen=True)
class Words:
    """A query. It comes from users and models, so nothing in it can be wrong."""

    words: list[str] = field(default_factory=list)
    """Texts with any of them are found."""
    phrases: list[list[str]] = field(default_factory=list)
    """Each has to occur word by word."""

    @classmethod
    def of(cls, query: str) -> "Words":
        """The words of a query; what stands in double quotes is a phrase."""
        phrases = [phrase for quoted in _PHRASE.findall(query) if (phrase := split(quoted)[:QUERY_WORDS])]
        words = dict.fromkeys(split(_PHRASE.sub(" ", query)))
        return cls(list(words)[:QUERY_WORDS], phrases[:QUERY_WORDS])

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)

    def all(self) -> list[str]:
        return [*self.words, *(word for phrase in self.phrases for word in phrase)]

    def match(self, text: list[str]) -> bool:
        """Whether a text, given as its words, is found."""
        return all(_contains(text, phrase) for phrase in self.phrases) and bool(
            self.phrases or not set(text).isdisjoint(self.words)
        )


def split(text: str) -> list[str]:
    """The words of a text as they are searched: in lower case, without accents."""
    words: list[str] = analyzer.analyze(text)
    return words


class Snapshot:
    """The index as of one commit."""

    def __init__(self, index: tantivy.Index) -> None:
        self._schema = index.schema
        self._searcher = index.searcher()
        progress = Query.term_query(self._schema, "id", f"{_PROGRESS}-{LAYOUT}")
        found = self._searcher.search(progress, 1).hits
        self.lsn: int = self._searcher.doc(found[0][1])["lsn"][0] if found else EMPTY
        """The log entry up to which it is complete."""

    @classmethod
    def nothing(cls) -> "Snapshot":
        """What can be used when no index can."""
        return cls(tantivy.Index(_schema()))

    def find(self, words: Words, scope: Scope, limit: int) -> list[Match]:
        """The best matches, best first."""
        query = Query.boolean_query([*self._filters(scope), *self._wanted(words)])
        with _checked():
            found = self._searcher.search(query, limit, count=False).hits
            documents = [(score, self._searcher.doc(address)) for score, address in found]
            return [Match(score, UUID(each["id"][0]), each["role"][0]) for score, each in documents]

    def rank(self, words: Words, texts: Iterable[Text]) -> list[Match]:
        """Matches among texts that are not in the index, with the scores they would have in it."""
        candidates = [(text, split(text.text)) for text in texts]
        total = self._searcher.num_docs + len(candidates)
        occurs = Counter(word for _, found in candidates for word in set(found))
        weights = {}
        with _checked():
            for word in words.all():
                count = occurs[word] + self._searcher.doc_freq("text", word)
                weights[word] = math.log(1 + (total - count + 0.5) / (count + 0.5))
        matches = []
        for text, found in candidates:
            if words.match(found):
                counts = Counter(found)
                norm = K1 * (1 - B + B * len(found) / TYPICAL_WORDS)
                score = sum(
                    weight * counts[word] * (K1 + 1) / (counts[word] + norm)
                    for word, weight in weights.items()
                )
                matches.append(Match(score, text.id, text.role))
        return matches

    def _wanted(self, words: Words) -> Iterator[tuple[Occur, Query]]:
        for phrase in words.phrases:
            if len(phrase) > 1:
                yield Occur.Must, Query.phrase_query(self._schema, "text", list(phrase))
            else:
                yield Occur.Must, self._term("text", phrase[0])
        optional = [(Occur.Should, self._term("text", word)) for word in words.words]
        if words.phrases:
            yield from optional
        else:
            yield Occur.Must, Query.boolean_query(optional)

    def _filters(self, scope: Scope) -> Iterator[tuple[Occur, Query]]:
        wanted = [self._term("kind", scope.kind)]
        if scope.owner is not None:
            wanted.append(self._term("owner", scope.owner.hex))
        if scope.roles:
            wanted.append(Query.term_set_query(self._schema, "role", list(scope.roles)))
        if scope.tags and scope.match_all_tags:
            wanted += [self._term("tags", tag) for tag in scope.tags]
        elif scope.tags:
            wanted.append(Query.term_set_query(self._schema, "tags", list(scope.tags)))
        if scope.start or scope.end:
            first, last = scope.start or datetime.min, scope.end or datetime.max  # noqa: DTZ901
            bounds = (FieldType.Integer, _microseconds(first), _microseconds(last))
            wanted.append(Query.range_query(self._schema, "created_at", *bounds))
        for query in wanted:
            yield Occur.Must, Query.const_score_query(query, 0.0)
        if scope.without:
            owners = [owner.hex for owner in scope.without]
            yield Occur.MustNot, Query.term_set_query(self._schema, "owner", owners)

    def _term(self, name: str, value: str) -> Query:
        return Query.term_query(self._schema, name, value)


class SearchIndex:
    """The index in its directory. One thread writes; any may use a snapshot."""

    def __init__(self, directory: Path) -> None:
        """Open an index, or make it anew.

        Raises:
            IndexDamaged: the directory cannot be written.
        """
        self.directory = directory
        self.uncommitted = 0
        """Texts added since the last commit."""
        with _checked():
            try:
                self._open()
            except BaseException as error:  # noqa: BLE001 - a panic of the library, too, is only damage
                _reraise_if_asked_to_stop(error)
                self.reset()

    def _open(self) -> None:
        index = tantivy.Index.open(str(self.directory))
        self._use(index)
        if self.snapshot.lsn == EMPTY:
            raise IndexDamaged(f"{self.directory} has another layout.")

    def reset(self) -> None:
        """Make it anew, empty."""
        with _checked():
            if self.directory.exists():
                _log.info("%s is made anew", self.directory)
                shutil.rmtree(self.directory)
            self.directory.mkdir()
            self._use(tantivy.Index(_schema(), str(self.directory)))

    def _use(self, index: tantivy.Index) -> None:
        index.register_tokenizer("words", analyzer)
        index.config_reader("manual")
        self._index = index
        self._writer = index.writer(MEMORY, num_threads=1)
        self.uncommitted = 0
        self.snapshot = Snapshot(index)

    def add(self, texts: Iterable[Text]) -> None:
        """Add texts; they are found after the next commit."""
        with _checked():
            for text in texts:
                document = tantivy.Document()
                document.add_text("kind", text.kind)
                document.add_text("id", text.id.hex)
                document.add_text("owner", text.owner.hex)
                document.add_text("role", text.role)
                document.add_integer("created_at", _microseconds(text.created_at))
                document.add_text("text", text.text)
                for tag in text.tags:
                    document.add_text("tags", tag)
                self._writer.add_document(document)
                self.uncommitted += 1

    def remove(self, ids: Iterable[UUID] = (), owners: Iterable[UUID] = ()) -> None:
        """Take texts out, by their ids and by whom they belong to."""
        with _checked():
            for text_id in ids:
                self._writer.delete_documents_by_term("id", text_id.hex)
            for owner in owners:
                self._writer.delete_documents_by_term("owner", owner.hex)

    def commit(self, lsn: int) -> None:
        """Write what was added and removed, durably, with the log entry up to which that is complete."""
        with _checked():
            self._writer.delete_documents_by_term("kind", _PROGRESS)
            progress = tantivy.Document()
            progress.add_text("kind", _PROGRESS)
            progress.add_text("id", f"{_PROGRESS}-{LAYOUT}")
            progress.add_integer("lsn", lsn)
            self._writer.add_document(progress)
            self._writer.commit()
            self._index.reload()
            self.snapshot = Snapshot(self._index)
        self.uncommitted = 0

    def close(self) -> None:
        """Stop the library's threads. What is not committed is forgotten."""
        with _checked():
            self._writer.rollback()
            self._writer.wait_merging_threads()


def _schema() -> tantivy.Schema:
    builder = SchemaBuilder()
    for name in ("kind", "id", "owner", "role", "tags"):
        stored = name in ("id", "role")
        builder.add_text_field(name, stored=stored, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("created_at", indexed=True, fast=True)
    builder.add_integer_field("lsn", stored=True)
    builder.add_text_field("text", tokenizer_name="words")
    return builder.build()


def _microseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1)  # noqa: DTZ001 - both are UTC
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _contains(text: list[str], phrase: list[str]) -> bool:
    starts = (at for at, word in enumerate(text) if word == phrase[0])
    return any(text[at : at + len(phrase)] == phrase for at in starts)


@contextmanager
def _checked() -> Iterator[None]:
    """Whatever the library says is wrong, the index has to be made anew; it even panics on damage."""
    try:
        yield
    except IndexDamaged:
        raise
    except BaseException as error:
        _reraise_if_asked_to_stop(error)
        raise IndexDamaged(f"The search index cannot be used: {error}") from error


def _reraise_if_asked_to_stop(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
        raise error
