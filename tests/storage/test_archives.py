"""Archives and passages: compare-and-set, commits with an agent's step, recovery, listing and search."""

import time

import duckdb
import numpy as np
import pytest

from storage import search
from storage.commits import Delta, DocumentWrite, Entry
from storage.errors import ArchiveGone, InvalidArgument, NotFound, StaleBlock
from storage.ids import new_id
from storage.queries import AgentQuery, Contents, DocumentQuery, PassageQuery, PassageSearch
from storage.records import Archive, Passage, now
from tests.storage.made import (
    WAIT,
    Committer,
    commit,
    make_archive,
    make_passage,
    open_shard,
    write_archive,
)
from tests.storage.made import make_vector as vector


def insert(shard, *passages: Passage):
    return commit(shard, Entry("documents", passages[0].archive_id, 0, 0, passages=list(passages)))


def changed(archive: Archive, **fields) -> Archive:
    return archive.model_copy(update={"version": archive.version + 1} | fields)


def texts(found) -> list[str]:
    return [getattr(each, "passage", each).text for each in found]


@pytest.fixture
def archive(shard) -> Archive:
    made = make_archive()
    write_archive(shard, made)
    return made


def listed(shard, archive, **filters):
    return texts(shard.passages(PassageQuery(archive_id=archive.id, **filters)))


def test_an_archive_is_read_as_it_was_written_last(shard, archive):
    assert shard.documents([archive.id]) == [archive]
    newer = changed(archive, name="diary", embedding_config={"embedding_dim": 3})
    write_archive(shard, newer, 0)
    assert shard.documents([new_id("archive"), archive.id, "archive-1"]) == [newer]
    shard.find_documents(DocumentQuery(kind="archive"))  # now it is in its table
    assert shard.documents([archive.id]) == [newer]


def test_a_write_based_on_an_old_version_is_refused(shard, archive):
    newer = changed(archive, name="theirs")
    write_archive(shard, newer, 0)
    write_archive(shard, newer, 0)  # the acknowledgement got lost
    with pytest.raises(StaleBlock):
        write_archive(shard, changed(archive, name="mine"), 0)
    assert shard.documents([archive.id]) == [newer]


def test_archives_are_listed_by_name(shard, archive):
    second, third = make_archive(), make_archive(name="other")
    write_archive(shard, second)
    write_archive(shard, third)
    write_archive(shard, changed(third, deleted=True), 0)

    def found(**filters):
        return [each.id for each in shard.find_documents(DocumentQuery(kind="archive", **filters))]

    assert found() == [second.id, archive.id]
    assert found(name="notes", limit=1, after=second.id) == [archive.id]
    assert found(name="other") == []


def test_passages_are_listed_by_their_time(shard, archive):
    other = make_archive()
    write_archive(shard, other)
    days = [now().replace(year=year) for year in (2023, 2021, 2022)]
    passages = [make_passage(archive, f"Day {i}", created_at=day) for i, day in enumerate(days)]
    insert(shard, *passages)
    insert(shard, make_passage(other, "elsewhere"))

    assert shard.passages(PassageQuery(archive_id=archive.id)) == [passages[i] for i in (1, 2, 0)]
    assert listed(shard, archive, descending=True, limit=2) == ["Day 0", "Day 2"]
    assert listed(shard, archive, after=passages[1].id) == ["Day 2", "Day 0"]
    assert listed(shard, archive, before=passages[0].id, limit=1) == ["Day 2"]
    assert listed(shard, archive, text="DAY 1") == ["Day 1"]
    assert listed(shard, archive, start=days[2]) == ["Day 2", "Day 0"]
    assert listed(shard, archive, end=days[2]) == ["Day 1", "Day 2"]
    assert len(shard.passages(PassageQuery())) == 4
    with pytest.raises(NotFound):
        listed(shard, archive, after=new_id("passage"))


def test_tags_are_any_or_all(shard, archive):
    for tags in (["a", "b"], ["b"], ["c"]):
        insert(shard, make_passage(archive, "".join(tags), tags=tags, vector=vector(1, 0)))

    for find in (
        lambda **tags: listed(shard, archive, **tags),
        lambda **tags: texts(
            shard.search_passages(PassageSearch(archive_id=archive.id, vector=vector(1, 0), **tags))
        ),
    ):
        assert find(tags=["a", "b"]) == ["ab", "b"]
        assert find(tags=["a", "b"], match_all_tags=True) == ["ab"]
        assert find(tags=["z"]) == []
    assert shard.contents(archive.id) == Contents(3, ("a", "b", "c"))


def test_a_deleted_passage_is_gone(shard, archive):
    kept, gone = (make_passage(archive, text, vector=vector(1, 0)) for text in ("kept", "gone"))
    insert(shard, kept, gone)
    search = PassageSearch(archive_id=archive.id, vector=vector(1, 0))
    assert len(shard.search_passages(search)) == 2
    insert(shard, gone.model_copy(update={"deleted": True, "vector": None}))
    assert listed(shard, archive) == ["kept"]
    assert texts(shard.search_passages(search)) == ["kept"]
    assert texts(shard.load_passages([gone.id, kept.id])) == ["kept"]


def test_a_deleted_archive_takes_its_passages_along(shard, archive):
    insert(shard, make_passage(archive, vector=vector(1, 0)))
    search = PassageSearch(archive_id=archive.id, vector=vector(1, 0))
    assert len(shard.search_passages(search)) == 1
    insert(shard, make_passage(archive))
    write_archive(shard, changed(archive, deleted=True), 0)
    assert (listed(shard, archive), shard.search_passages(search)) == ([], [])
    assert shard.documents([archive.id]) == []
    with pytest.raises(ArchiveGone):
        insert(shard, make_passage(archive))
    with pytest.raises(ArchiveGone):
        insert(shard, make_passage(make_archive()))


def test_an_insert_is_committed_with_the_agents_step_or_not_at_all(shard):
    ann = Committer(shard)
    ann.claim()
    archive = make_archive(ann.id)
    passage = make_passage(archive)

    def step(seq: int) -> Entry:
        delta = Delta(agent={"archive_ids": [archive.id]})
        entry = Entry("step", ann.id, seq, ann.epoch, delta.pack(), key="k")
        entry.documents, entry.passages = [DocumentWrite(archive, None)], [passage]
        return entry

    with pytest.raises(Exception, match="does not follow"):
        commit(shard, step(5))
    assert (shard.documents([archive.id]), shard.load_passages([passage.id])) == ([], [])
    commit(shard, step(1))
    commit(shard, step(1))
    assert shard.load_passages([passage.id]) == [passage]
    assert shard.load(ann.id).state.agent.archive_ids == [archive.id]
    assert [key.id for key in shard.find_agents(AgentQuery(archive_id=archive.id))] == [ann.id]
    assert shard.find_agents(AgentQuery(archive_id=new_id("archive"))) == []


def test_a_passage_of_a_deleted_archive_refuses_the_whole_step(shard, archive):
    ann = Committer(shard)
    ann.claim()
    write_archive(shard, changed(archive, deleted=True), 0)
    entry = Entry("step", ann.id, 1, ann.epoch, Delta(agent={"name": "bob"}).pack())
    entry.passages = [make_passage(archive)]
    with pytest.raises(ArchiveGone):
        commit(shard, entry)
    assert shard.load(ann.id).state.agent.name == "ann"


def test_ids_of_another_kind_are_refused(shard, archive):
    for entry in (
        Entry("documents", archive.id, 0, 0, passages=[make_passage(archive, id="passage-1")]),
        Entry("documents", archive.id, 0, 0, passages=[make_passage(archive, id=new_id("block"))]),
        Entry("documents", archive.id, 0, 0, documents=[DocumentWrite(make_archive(id="x"), None)]),
    ):
        with pytest.raises(InvalidArgument):
            shard.commit([entry])[0].result(WAIT)


def test_the_nearest_passages_come_first(shard, archive):
    made = {"east": (1, 0), "north": (0, 2), "west": (-3, 0), "north-east": (5, 5)}
    insert(shard, *(make_passage(archive, text, vector=vector(*to)) for text, to in made.items()))

    def nearest(*to, **more):
        return shard.search_passages(PassageSearch(archive_id=archive.id, vector=vector(*to), **more))

    found = nearest(0, 1, limit=3)
    assert texts(found) == ["north", "north-east", "east"]
    assert [hit.score for hit in found] == pytest.approx([1, 0.5**0.5, 0], abs=1e-6)
    insert(shard, make_passage(archive, "also north", vector=vector(0.1, 9)))
    assert texts(nearest(0, 1, limit=2)) == ["north", "also north"]
    assert texts(nearest(0, 1, start=now())) == []
    assert len(nearest(0, 1, end=now())) == 5
    with pytest.raises(InvalidArgument, match="2 numbers"):
        nearest(1, 0, 0)


def test_vectors_in_memory_have_a_bound(tmp_path):
    shard = open_shard(tmp_path, vectors_mb=1)
    try:
        archives = [make_archive() for _ in range(3)]
        for archive in archives:
            write_archive(shard, archive)
            rows = np.eye(600, dtype=np.float32)[:200]
            insert(shard, *(make_passage(archive, vector=row.tobytes()) for row in rows))
        one = vector(*np.eye(600)[0])
        for archive in [*archives, archives[0]]:
            found = shard.search_passages(PassageSearch(archive_id=archive.id, vector=one, limit=1))
            assert found[0].score == pytest.approx(1)
            assert 0 < shard.stats()["vector_bytes"] <= 1 << 20
    finally:
        shard.close()


@pytest.mark.parametrize("derived", [True, False])
def test_everything_is_there_after_a_restart(tmp_path, derived):
    shard = open_shard(tmp_path)
    archive, gone = make_archive(description="d", metadata={"k": 1}), make_archive()
    write_archive(shard, archive)
    write_archive(shard, gone)
    passages = [make_passage(archive, f"p{i}", tags=["t"], vector=vector(i, 1)) for i in range(3)]
    passages.append(make_passage(archive, "without"))
    insert(shard, *passages)
    insert(shard, passages[0].model_copy(update={"deleted": True}))
    write_archive(shard, changed(gone, deleted=True), 0)
    if derived:
        shard.contents(archive.id)
    shard.close()
    if not derived:
        # As if it had been killed before anything was derived.
        with duckdb.connect(str(tmp_path / "0.duckdb")) as connection:
            for table in ("document", "document_head", "passage", "agent"):
                connection.execute(f"delete from {table}")
            connection.execute("update progress set derived = 0")

    shard = open_shard(tmp_path)
    try:
        assert shard.documents([archive.id, gone.id]) == [archive]
        found = shard.passages(PassageQuery(archive_id=archive.id))
        assert found == passages[1:]
        assert [each.vector for each in found] == [vector(1, 1), vector(2, 1), None]
        with pytest.raises(StaleBlock):
            write_archive(shard, changed(gone), 1)
    finally:
        shard.close()


class TestWords:
    """Search by words, with an index that has everything yet, or nothing."""

    @pytest.fixture(params=["indexed", "not indexed yet"])
    def settle(self, request, monkeypatch, shard):
        if request.param == "not indexed yet":
            monkeypatch.setattr(search.Search, "_advance", lambda self: None)
            return lambda: None

        def wait():
            shard.contents(new_id("archive"))
            deadline = time.monotonic() + WAIT
            while shard.stats()["unindexed_entries"]:
                assert time.monotonic() < deadline
                time.sleep(0.01)

        return wait

    @pytest.fixture
    def found(self, shard, archive):
        def found(query, **filters):
            return texts(shard.search_passages(PassageSearch(query=query, **filters)))

        return found

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr(search, "INTERVAL", 0.02)

    def test_rare_words_count_more(self, shard, archive, settle, found):
        insert(shard, *(make_passage(archive, f"the weather {number}") for number in range(20)))
        insert(shard, make_passage(archive, "Weather: an Axolotl"), make_passage(archive, "once an axolotl"))
        settle()
        assert found("weather axolotl", limit=2) == ["Weather: an Axolotl", "once an axolotl"]
        assert found("nothing of it") == []
        assert found("?!") == []
        hits = shard.search_passages(PassageSearch(query="axolotl"))
        assert [hit.score > 0 for hit in hits] == [True, True]

    def test_filters(self, shard, archive, settle, found):
        other = make_archive()
        write_archive(shard, other)
        insert(shard, make_passage(other, "fox elsewhere"))
        for year, tags in ((2021, ["a"]), (2022, ["a", "b"]), (2023, ["c"])):
            insert(
                shard, make_passage(archive, f"fox {year}", tags=tags, created_at=now().replace(year=year))
            )
        settle()

        def years(**filters):
            return sorted(text[-4:] for text in found("fox", archive_id=archive.id, **filters))

        assert years() == ["2021", "2022", "2023"]
        assert len(found("fox")) == 4
        assert years(tags=["a", "c"]) == ["2021", "2022", "2023"]
        assert years(tags=["a", "b"], match_all_tags=True) == ["2022"]
        assert years(start=now().replace(year=2022, month=1, day=1)) == ["2022", "2023"]
        assert years(end=now().replace(year=2021)) == ["2021"]

    def test_what_is_deleted_is_not_found(self, shard, archive, settle, found):
        other = make_archive()
        write_archive(shard, other)
        kept, gone = make_passage(archive, "fox kept"), make_passage(archive, "fox gone")
        insert(shard, kept, gone, gone)
        insert(shard, gone)
        insert(shard, make_passage(other, "fox gone with its archive"))
        settle()
        assert len(found("fox")) == 3
        insert(shard, gone.model_copy(update={"deleted": True}))
        write_archive(shard, changed(other, deleted=True), 0)
        assert found("fox", limit=1) == ["fox kept"]
        settle()
        assert found("fox") == ["fox kept"]
