"""chrF against cases by hand."""

import pytest

from words.chrf import chrf


@pytest.mark.parametrize(
    ("found", "true", "longest", "beta", "expected"),
    [
        (["abc"], ["abc"], 6, 2, 100),
        (["abc"], ["xyz"], 6, 2, 0),
        ([""], ["abc"], 6, 2, 0),
        (["a b c"], ["ab c"], 6, 2, 100),  # spaces do not count
        (["ab"], ["abcd"], 1, 1, 100 * 2 / 3),  # P 1, R 1/2
        (["ab"], ["abcd"], 2, 1, 100 * 10 / 17),  # of pairs 1 and 1/3: P 1, R 5/12
        (["aaa"], ["a"], 1, 2, 100 * 5 / 7),  # only one of three is shared: P 1/3, R 1
        (["aaa"], ["a"], 6, 2, 100 * 5 / 7),  # the true text has no pairs
        (["ab", "x"], ["ab", "y"], 1, 1, 100 * 2 / 3),  # letters of all texts together
        (["ab", "b"], ["b", "ab"], 1, 1, 100 * 2 / 3),  # and not shared from text to text
    ],
)
def test_by_hand(found, true, longest, beta, expected):
    assert chrf(found, true, longest, beta) == pytest.approx(expected)


def test_a_long_text_by_hand():
    """ "malais" for "malaise": P_n is 1 for each n, and R_n is (7 - n) / (8 - n)."""
    recall = sum((7 - n) / (8 - n) for n in range(1, 7)) / 6
    assert chrf(["malais"], ["malaise"]) == pytest.approx(100 * 5 * recall / (4 + recall))


def test_as_many_of_both():
    with pytest.raises(ValueError, match="found has 1 texts and true 2"):
        chrf(["a"], ["a", "b"])
