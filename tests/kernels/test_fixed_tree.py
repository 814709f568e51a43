import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskml_exec.executor import fold, fold_siblings


def parenthesise(left, right):
    return f"({left}{right})"


def reference(leaves):
    """The tree written as a recursion: the left half is the largest power of two below n."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return parenthesise(reference(leaves[:half]), reference(leaves[half:]))


def leaf_names(n):
    return [chr(ord("A") + i % 26) + str(i) for i in range(n)]


@pytest.mark.parametrize("n", range(1, 70))
def test_fold_has_the_shape_of_the_tree(n):
    assert fold(leaf_names(n), parenthesise) == reference(leaf_names(n))


def test_fold_of_nothing_raises():
    with pytest.raises(ValueError, match="at least one leaf"):
        fold([], parenthesise)


def test_fold_takes_an_iterator():
    assert fold(iter("abc"), parenthesise) == "((ab)c)"


@st.composite
def partitions_of_leaves(draw):
    n = draw(st.integers(1, 40))
    groups = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    return n, [[i for i in range(n) if groups[i] == g] for g in draw(st.permutations(range(6)))]


@given(partitions_of_leaves())
def test_groups_folded_ahead_do_not_change_the_parenthesisation(case):
    n, groups = case
    names = leaf_names(n)
    nodes = {}
    for group in groups:
        nodes |= fold_siblings({(0, i): names[i] for i in group}, n, parenthesise)
    assert fold_siblings(nodes, n, parenthesise) == {
        ((n - 1).bit_length(), 0): fold(names, parenthesise)
    }


@given(partitions_of_leaves())
def test_leaves_folded_one_by_one_do_not_change_the_parenthesisation(case):
    n, groups = case
    nodes = {}
    for i in (i for group in groups for i in group):
        nodes = fold_siblings(nodes | {(0, i): leaf_names(n)[i]}, n, parenthesise)
    assert list(nodes.values()) == [fold(leaf_names(n), parenthesise)]


@pytest.mark.parametrize("n", [8, 13, 64])
def test_a_contiguous_range_keeps_few_nodes(n):
    nodes = {}
    for i in range(n - 1):
        nodes = fold_siblings(nodes | {(0, i): str(i)}, n, parenthesise)
        assert len(nodes) <= n.bit_length()


def test_nodes_are_not_modified():
    nodes = {(0, 0): "a", (0, 1): "b"}
    fold_siblings(nodes, 2, parenthesise)
    assert nodes == {(0, 0): "a", (0, 1): "b"}
