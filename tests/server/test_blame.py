"""Who wrote which line: versions compared line by line, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from server import blame
from server.blame import Walk, unchanged
from storage.queries import VersionQuery
from tests.storage.made import make_block

lines = st.lists(st.sampled_from("abcd"), max_size=12)


def versions(*values: str) -> list:
    """Versions with these values, oldest first; an edit's number is in ``changed_by``."""
    first = make_block(value=values[0])
    later = [
        first.model_copy(
            update={"version": n, "value": value, "changed_by": {"agent_id": "a", "step_id": f"{n}"}}
        )
        for n, value in enumerate(values[1:], 1)
    ]
    return [first, *later]


def writers(*values: str) -> list[int | None]:
    *older, newest = versions(*values)
    walk = Walk(newest)
    walk.back(reversed(older))
    return [writer.version if writer else None for writer in walk.writers]


class Versions:
    """A store with the versions of one block, which notes how many of them were read."""

    def __init__(self, *values: str) -> None:
        self.versions = versions(*values)
        self.read = 0

    async def block_versions(self, query: VersionQuery):
        found = [each for each in self.versions if query.below is None or each.version < query.below]
        page = found[::-1][: query.limit]
        self.read += len(page)
        return page


def test_a_line_belongs_to_the_version_it_first_stands_in():
    assert writers("a\nb") == [0, 0]
    assert writers("a\nb", "a\nx\nb", "a\nx\nb\nc") == [0, 1, 0, 2]
    assert writers("a\nb\nc", "a\nB\nc", "a\nc") == [0, 0]
    assert writers("a", "b", "a") == [2]
    assert writers("", "a", "a\nb") == [1, 2]
    assert writers("a", "") == []
    assert writers("a\na", "a\na\na") == [0, 0, 1]


def test_a_change_of_something_else_writes_no_line():
    first, second, third = versions("a", "a", "a\nb")
    walk = Walk(third)
    walk.back([second.model_copy(update={"label": "renamed"}), first])
    assert [writer.version for writer in walk.writers] == [0, 2]


@given(old=lines, new=lines)
def test_unchanged_lines_are_equal_and_in_order(old, new):
    kept = unchanged(old, new)
    assert all(old[before] == new[after] for after, before in kept.items())
    ordered = sorted(kept.items())
    assert [before for _, before in ordered] == sorted(kept.values())
    assert len(set(kept.values())) == len(kept)
    if old == new:
        assert len(kept) == len(new)


@given(start=lines, end=lines, old=lines, new=lines)
def test_what_is_around_an_edit_stays(start, end, old, new):
    before, after = [*start, *old, *end], [*start, *new, *end]
    assert len(unchanged(before, after)) >= len(start) + len(end) - max(0, len(old) - len(new))


def test_two_huge_versions_are_compared_roughly():
    old = ["head", *["same"] * 3_000, "tail"]
    new = ["head", "x", *["same"] * 2_000, "y", "tail"]
    kept = unchanged(old, new)
    assert kept == {0: 0, len(new) - 1: len(old) - 1}


async def test_only_as_many_versions_are_read_as_are_needed():
    store = Versions("old", *(f"old {n}" for n in range(300)), "new")
    told = await blame.blame(store, "block")
    assert [line["version"] for line in told["lines"]] == [301]
    assert store.read <= 1 + blame.AT_ONCE
    assert (told["complete"], told["versions_walked"]) == (True, 2)


async def test_a_long_past_is_told_as_far_as_it_is_read(monkeypatch):
    monkeypatch.setattr(blame, "VERSIONS", 120)
    values = ["\n".join(["first", *map(str, range(n))]) for n in range(200)]
    told = await blame.blame(Versions(*values), "block")

    assert (told["complete"], told["versions_walked"]) == (False, 120)
    found = [line["version"] for line in told["lines"]]
    assert found[0] is None
    assert found[-1] == 199
    assert [line["source"] for line in (told["lines"][0], told["lines"][-1])] == [None, "agent"]

    monkeypatch.setattr(blame, "VERSIONS", 500)
    told = await blame.blame(Versions(*values), "block")
    assert [line["version"] for line in told["lines"]] == [0, *range(1, 200)]
    monkeypatch.setattr(blame, "CHARACTERS", len(values[-1]) * 3)
    assert (await blame.blame(Versions(*values), "block"))["versions_walked"] == 4
