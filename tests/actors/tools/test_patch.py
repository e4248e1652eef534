"""Unified diffs applied to memory blocks."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.tools.patch import apply

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "- item", "+1", "@home"]), max_size=12)


@given(old=LINES, new=LINES, context=st.sampled_from([0, 1, 3]))
def test_a_real_diff_is_applied(old, new, context):
    before, after = "\n".join(old), "\n".join(new)
    old, new = before.split("\n") if before else [], after.split("\n") if after else []
    diff = list(difflib.unified_diff(old, new, "old", "new", lineterm="", n=context))

    if diff:
        assert apply(before, diff) == after


def test_context_finds_the_place_when_line_numbers_are_wrong():
    assert apply("a\nb\nc", ["@@ -40,2 +40,2 @@", " b", "-c", "+d"]) == "a\nb\nd"


def test_a_line_number_settles_what_context_leaves_open():
    assert apply("a\nb\na\nb", ["@@ -3,1 +3,1 @@", "-a", "+x"]) == "a\nb\nx\nb"


def test_hunks_without_header_or_context():
    assert apply("a", ["+b"]) == "a\nb"
    assert apply("a\nb\nc", ["@@", "-a", "+x", "@@", "-c", "+z"]) == "x\nb\nz"


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        (["-x", "+y"], "not in the memory block:\nx"),
        (["-a", "+y"], r"occur at lines \[1, 3\]"),
        (["1→ a"], "must start with"),
        ([" a"], "has no hunk"),
        ([], "has no hunk"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(patch, error):
    with pytest.raises(ValueError, match=error):
        apply("a\nb\na", patch)
