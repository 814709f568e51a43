import itertools

import pytest

from tests.tiers import covering, each_pair, each_value


@pytest.mark.parametrize("lengths", [(3,), (2, 2), (3, 2, 3), (2, 3, 2, 2, 3), (12, 3)])
@pytest.mark.parametrize("strength", [1, 2])
def test_all_that_should_meet_does_and_in_few(strength, lengths):
    found = covering(strength, lengths)
    axes = list(itertools.combinations(range(len(lengths)), min(strength, len(lengths))))
    for of in axes if strength <= len(lengths) else []:
        met = {tuple(indices[axis] for axis in of) for indices in found}
        assert met == set(itertools.product(*(range(lengths[axis]) for axis in of)))
    assert len(set(found)) == len(found)
    if strength == 1:
        assert len(found) == max(lengths)


def test_pairs_of_five_axes_are_a_sixth_of_all():
    assert len(covering(2, (3, 2, 2, 2, 3))) <= 12


@pytest.mark.parametrize(("tier", "n_always"), [(each_value, 3), (each_pair, 6)])
def test_all_combinations_are_there_and_the_others_are_slow(tier, n_always):
    names, cases = tier(letter="abc", number=[1, 2], word=["x", "y"]).mark.args
    assert names == ["letter", "number", "word"]
    assert [case.values for case in cases] == list(itertools.product("abc", [1, 2], ["x", "y"]))
    assert len([case for case in cases if not case.marks]) == n_always
    assert {mark.name for case in cases for mark in case.marks} == {"slow"}
