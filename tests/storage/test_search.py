"""Search in histories: ranking, filters, and an index that may lag, break or get lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import search as search_module
from storage.commits import Delta
from storage.queries import MessageSearch
from storage.records import ToolCall
from storage.search_index import QUERY_WORDS, IndexDamaged, Words, split
from tests.storage.made import WAIT, Committer, make_message, open_shard

ROOT = Path(__file__).parents[2]
DAY = datetime(2026, 5, 1, tzinfo=UTC)


def wait_for_index(shard):
    """Until the index has everything that is committed."""
    shard.search_messages(MessageSearch())
    deadline = time.monotonic() + WAIT
    while shard.stats()["unindexed_entries"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def find(shard, query, **options):
    return [hit.message.content for hit in shard.search_messages(MessageSearch(query=query, **options))]


@pytest.fixture(params=["indexed", "not indexed yet"])
def settle(request, monkeypatch):
    """Called before a search: the index has then everything, or nothing."""
    if request.param == "not indexed yet":
        monkeypatch.setattr(search_module.Search, "_advance", lambda self: None)
        return lambda shard: None
    monkeypatch.setattr(search_module, "INTERVAL", 0.01)
    return wait_for_index


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(search_module, "INTERVAL", 0.05)
    monkeypatch.setattr(search_module, "PAUSE_AFTER_FAILURE", 0.05)


@pytest.fixture
def ann(shard):
    return Committer(shard)


def test_rare_and_repeated_words_count_more_and_long_texts_less(shard, ann, settle):
    for filler in range(30):
        ann.say(f"the weather number {filler}")
    ann.say("the axolotl")
    ann.say("the axolotl saw an axolotl")
    ann.say("the axolotl " + "and so on and on " * 20)
    settle(shard)

    assert find(shard, "the axolotl", limit=3) == [
        "the axolotl saw an axolotl",
        "the axolotl",
        "the axolotl " + "and so on and on " * 20,
    ]
    hits = shard.search_messages(MessageSearch(query="the axolotl", limit=5))
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] > 2 * scores[3], "everything has the common word"
    assert {hit.agent_id for hit in hits} == {ann.id}


def test_new_texts_are_ranked_as_they_will_be_in_the_index(shard, ann, monkeypatch):
    for text in ["red red fox", "red", "fox and hound", "the red of a fox"]:
        ann.say(text)
    before = find(shard, "red fox")
    wait_for_index(shard)
    assert find(shard, "red fox") == before


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("CAFE", "Ein Café."),
        ("uber", "Über allem"),
        ("京", "東京です"),
        ("ไทย", "ภาษาไทย"),
        ("привет", "Привет!"),
        ("don't", "I don't"),
        ("snake_case", "a snake_case b"),
        ("3.14", "pi is 3.14"),
    ],
)
def test_words_of_all_languages(shard, ann, settle, query, text):
    ann.say("something else")
    ann.say(text)
    settle(shard)
    assert find(shard, query) == [text]


def test_phrases(shard, ann, settle):
    for text in ["white house", "house white", "the White House, it is", "a white and a house"]:
        ann.say(text)
    settle(shard)
    assert set(find(shard, '"white house"')) == {"white house", "the White House, it is"}
    assert find(shard, '"white house" it is')[0] == "the White House, it is"
    assert find(shard, '"and"') == ["a white and a house"]
    assert find(shard, '"white house" "house white"') == []


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_is_a_query(text):
    words = Words.of(text)
    assert len(words.words) <= QUERY_WORDS
    assert bool(words) == bool(words.all())


@pytest.mark.parametrize(
    "query", ["AND", "a OR", "(", '"', 'x:"y', "[a TO", "*", "~2", "\\", "\x00", "x" * 100_000, "w " * 5000]
)
def test_no_query_raises(shard, ann, settle, query):
    ann.say("hello")
    settle(shard)
    assert find(shard, query) == []


def test_what_is_found_of_a_message(shard, ann, settle):
    call = ToolCall(id="1", name="send_message", arguments='{"message": "spoken aloud"}')
    broken = ToolCall(id="2", name="send_message", arguments="{")
    other = ToolCall(id="3", name="memory_insert", arguments='{"text": "kept quiet"}')
    messages = [
        make_message(
            ann.id,
            content="thinking text",
            role="assistant",
            reasoning="because zebras",
            tool_calls=[call, broken, other],
        ),
        make_message(
            ann.id, content=[{"type": "text", "text": "in a part"}, {"type": "image", "source": {}}]
        ),
        make_message(ann.id, content="quoted by a tool", role="tool"),
        make_message(ann.id, content="what was summed up", role="summary"),
    ]
    ann.change(Delta(messages=messages))
    settle(shard)

    def roles(query, **options):
        return [hit.role for hit in shard.search_messages(MessageSearch(query=query, **options))]

    assert roles("spoken") == ["assistant"]
    assert roles("zebras") == ["reasoning"]
    assert roles("zebras", roles=["assistant", "user"]) == []
    assert roles("part") == ["user"]
    assert roles("summed") == ["summary"]
    assert roles("quoted") == roles("quiet") == []
    assert roles("you are ann") == [], "the system message"
    assert roles("") == ["summary", "user", "assistant"]
    assert roles("", roles=["user", "reasoning"]) == ["user"]


def test_without_a_query_the_newest_come_first(shard, ann):
    ben = Committer(shard)
    for number in range(5):
        (ann, ben)[number % 2].say(f"number {number}")
    assert find(shard, "", limit=3) == ["number 4", "number 3", "number 2"]
    assert find(shard, "", agent_id=ben.id) == ["number 3", "number 1"]
    assert {hit.rank for hit in shard.search_messages(MessageSearch())} == {0}


WORD = st.sampled_from("ant bee cat dog elk fly gnu".split())  # noqa: SIM905
SAID = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["user", "assistant"]),
        st.integers(0, 9),
        st.lists(WORD, min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=12,
)
SEARCHES = st.lists(
    st.tuples(
        st.lists(WORD, min_size=1, max_size=3),
        st.none() | st.integers(0, 2),
        st.sampled_from([[], ["user"], ["assistant"]]),
        st.none() | st.integers(0, 9),
        st.none() | st.integers(0, 9),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID, searches=SEARCHES, split_at=st.integers(0, 12))
def test_filters_against_a_naive_model(shard, said, searches, split_at):
    """Whatever part of it the index has."""
    agents = [Committer(shard) for _ in range(3)]
    for number, (agent, role, day, words) in enumerate(said):
        if number == split_at:
            wait_for_index(shard)
        agents[agent].say(" ".join(words), role=role, created_at=DAY + timedelta(days=day))
    ids = {agent.id for agent in agents}
    for words, agent, roles, first, last in searches:
        query = MessageSearch(
            query=" ".join(words),
            agent_id=None if agent is None else agents[agent].id,
            roles=roles,
            start=None if first is None else DAY + timedelta(days=first),
            end=None if last is None else DAY + timedelta(days=last),
            limit=1000,
        )
        found = [hit for hit in shard.search_messages(query) if hit.agent_id in ids]
        expected = [
            (agents[who].id, " ".join(text))
            for who, role, day, text in said
            if set(text) & set(words)
            and agent in (None, who)
            and (not roles or role in roles)
            and (first is None or day >= first)
            and (last is None or day <= last)
        ]
        assert sorted((hit.agent_id, hit.message.content) for hit in found) == sorted(expected)
    for agent in agents:
        agent.delete()


def test_a_search_includes_what_was_just_acknowledged(shard, ann):
    rng = random.Random(1)
    for number in range(150):
        ann.say(f"word{number}")
        wanted = rng.randint(0, number)
        assert find(shard, f"word{wanted}") == [f"word{wanted}"]
        assert find(shard, f"word{number}") == [f"word{number}"]


def test_deleted_agents_are_not_found(shard, ann, settle, monkeypatch):
    ben = Committer(shard)
    ann.say("secret of ann")
    ben.say("secret secret")
    settle(shard)
    monkeypatch.setattr(search_module.Search, "_advance", lambda self: None)
    ben.delete()
    assert find(shard, "secret", limit=1) == ["secret of ann"], "the other does not take up its place"
    assert find(shard, "secret", agent_id=ben.id) == []


def test_the_texts_of_deleted_agents_leave_the_index(shard, ann):
    ann.say("unspeakable")
    wait_for_index(shard)
    ann.delete()
    wait_for_index(shard)
    assert shard._search._index.snapshot._searcher.doc_freq("text", "unspeakable") == 0


# the index on disk


@pytest.fixture
def closed(tmp_path):
    """A folder with a store that is closed, whose index is complete."""
    shard = open_shard(tmp_path)
    ann = Committer(shard)
    for number in range(40):
        ann.say(f"fact number{number} of many")
    wait_for_index(shard)
    shard.close()
    return tmp_path


def check(folder):
    shard = open_shard(folder)
    try:
        for _ in range(2):
            assert find(shard, "number7") == ["fact number7 of many"]
            assert len(find(shard, "many", limit=100)) == 40
            wait_for_index(shard)
        assert shard._search._index.snapshot.rank(Words.of("x"), []) == []
        return shard._search._index.snapshot._searcher.num_docs
    finally:
        shard.close()


def test_an_index_is_used_again(closed, monkeypatch):
    monkeypatch.setattr(search_module.SearchIndex, "reset", lambda self: pytest.fail("made anew"))
    assert check(closed) == 41


def test_a_lost_index_is_made_anew(closed):
    shutil.rmtree(closed / "0.search")
    assert check(closed) == 41


@pytest.mark.parametrize(
    "suffix", ["meta.json", ".managed.json", ".store", ".idx", ".term", ".pos", ".fast", ".fieldnorm"]
)
@pytest.mark.parametrize("damage", ["lost", "empty", "cut", "zeros"])
def test_a_damaged_index_is_made_anew(closed, suffix, damage):
    files = [file for file in (closed / "0.search").iterdir() if file.name.endswith(suffix)]
    assert files
    for file in files:
        data = file.read_bytes()
        file.chmod(0o600)
        file.unlink()
        if damage != "lost":
            file.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "zeros": bytes(len(data))}[damage])
    assert check(closed) == 41


def test_an_index_of_a_store_that_lost_its_end_is_made_anew(closed, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    shard = open_shard(other)
    Committer(shard).say("fact number7 of many")
    shard.close()
    shutil.copytree(closed / "0.search", other / "0.search", dirs_exist_ok=True)
    shard = open_shard(other)
    assert find(shard, "number7") == ["fact number7 of many"]
    assert find(shard, "number8") == []
    shard.close()


def test_an_index_of_another_layout_is_made_anew(closed, monkeypatch):
    monkeypatch.setattr("storage.search_index.LAYOUT", 2)
    assert check(closed) == 41


def test_a_search_survives_an_index_that_breaks_while_it_is_open(shard, ann, monkeypatch):
    ann.say("lighthouse")
    wait_for_index(shard)

    def broken(*_):
        raise IndexDamaged

    monkeypatch.setattr(shard._search._index.snapshot, "find", broken)
    assert find(shard, "lighthouse") == ["lighthouse"]
    deadline = time.monotonic() + WAIT
    while shard._search._damaged or shard.stats()["unindexed_entries"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert find(shard, "lighthouse") == ["lighthouse"]


def test_indexing_goes_on_after_a_failure(shard, ann, monkeypatch):
    failures = iter([IndexDamaged("disk full"), IndexDamaged("disk full")])
    commit = shard._search._index.commit

    def fail_first(lsn):
        for failure in failures:
            raise failure
        commit(lsn)

    monkeypatch.setattr(shard._search._index, "commit", fail_first)
    ann.say("lighthouse")
    wait_for_index(shard)
    assert next(failures, None) is None
    assert find(shard, "lighthouse") == ["lighthouse"]


@pytest.mark.slow
@pytest.mark.parametrize("acknowledgements", [40, 250, 400])
def test_a_kill_neither_skips_nor_doubles_texts(tmp_path, acknowledgements):
    """Again and again on the same store, whatever the index was doing just then."""
    code = (
        "import sys; from pathlib import Path; from storage import search; search.INTERVAL = 0.001;"
        "search.COMMITTED_AT_ONCE = 5; search.READ_AT_ONCE = 3;"
        "from tests.storage.made import Committer, open_shard;"
        "shard = open_shard(Path(sys.argv[1]), lock_wait=30); ann = Committer(shard); ann.claim()\n"
        "for number in range(100_000): ann.say(f'tally of {ann.id[-12:]}'); print(number, flush=True)"
    )
    committed = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as process:
            assert process.stdout
            for _ in range(acknowledgements):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        committed += acknowledgements
    shard = open_shard(tmp_path, lock_wait=30)
    for _ in range(2):
        stored = len(shard.search_messages(MessageSearch(limit=1000)))
        found = shard.search_messages(MessageSearch(query="tally", limit=1000))
        ids = [hit.message.id for hit in found]
        assert len(ids) == len(set(ids)) == min(1000, stored)
        assert stored >= min(1000, committed)
        wait_for_index(shard)
    total = shard._database.rows("select count(*) from message where role = 'user'")[0][0]
    assert shard._search._index.snapshot._searcher.doc_freq("text", "tally") == total
    shard.close()


def test_words_are_split_the_same_way_for_texts_and_queries():
    assert split("Ünï-code, don't: 東京 3.14") == ["uni", "code", "don", "t", "東", "京", "3", "14"]
