"""Areas under curves with fewer distinct scores than there are."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from daskml_exec import metrics
from daskml_exec.kernels.score_runs import merged, run_of
from daskml_exec.metrics._curves import BoundedFloat
from tests.metrics.toolbox import MORE, TWO, WEIGHT, N, Y, in_chunks

SCORE = np.random.default_rng(1).normal(size=N) + TWO


@pytest.mark.parametrize("limit", [2, 3, 10, 60, 250])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_bounds_hold_and_do_not_depend_on_chunks(executor, limit, weight):
    for name, options in (
        ("roc_auc_score", {}),
        ("roc_auc_score", {"max_fpr": 0.3}),
        ("average_precision_score", {}),
    ):
        exact = getattr(theirs, name)(TWO, SCORE, sample_weight=weight, **options)
        ours = [
            getattr(metrics, name)(
                in_chunks(TWO, chunks), SCORE, sample_weight=weight, max_distinct=limit, **options
            )
            for chunks in (N, 40, (0, 7, 193, 100))
        ]
        assert ours[0] == pytest.approx(ours[1], rel=1e-12)
        assert ours[0] == pytest.approx(ours[2], rel=1e-12)
        for found in ours:
            assert found.error_bound > 0
            assert abs(found - exact) <= found.error_bound


def test_bounds_of_several_classes(executor):
    for options in ({"average": "macro"}, {"average": "weighted"}, {"average": "micro"}):
        found = metrics.roc_auc_score(
            in_chunks(Y, 40), MORE, multi_class="ovr", max_distinct=30, **options
        )
        exact = theirs.roc_auc_score(Y, MORE, multi_class="ovr", **options)
        assert abs(found - exact) <= found.error_bound < 0.2
    with pytest.warns(UserWarning, match="more distinct scores than max_distinct"):
        metrics.roc_auc_score(
            in_chunks(Y, 40), MORE, multi_class="ovr", max_distinct=30, average=None
        )


def test_exact_where_scores_fit(executor):
    found = metrics.roc_auc_score(in_chunks(TWO, 40), SCORE, max_distinct=N)
    assert found.error_bound == 0
    assert found == pytest.approx(theirs.roc_auc_score(TWO, SCORE), rel=1e-12)
    again = pickle.loads(pickle.dumps(BoundedFloat(0.5, 0.1)))
    assert (again, again.error_bound) == (0.5, 0.1)


def test_lazy_areas_have_their_bound(executor):
    y = in_chunks(TWO, 40)
    now = metrics.roc_auc_score(y, SCORE, max_distinct=30)
    later = metrics.roc_auc_score(y, SCORE, max_distinct=30, compute=False)
    found = later.compute()
    assert (found, found.error_bound) == (now, now.error_bound)
    assert repr(found) == repr(float(now))
    assert (1 - later).compute() == 1 - now


@pytest.mark.parametrize(
    ("label", "pos_label"), [(0, 0), (0, 1), (1, 1), (1, 0), (2, 2), ("a", "a"), ("a", "b")]
)
def test_average_precision_of_one_label(executor, label, pos_label):
    y = np.array([label] * N)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = theirs.average_precision_score(y, SCORE, pos_label=pos_label)
        found = metrics.average_precision_score(in_chunks(y, 40), SCORE, pos_label=pos_label)
    assert found == expected


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=40), st.integers(0, 40), st.integers(2, 12))
def test_runs_are_the_same_however_rows_are_cut(scores, cut, limit):
    values, codes = np.array(scores), np.arange(len(scores)) % 2
    whole = run_of(values, codes, None, 2, limit)
    assert len(whole.keys) <= limit
    assert (np.diff(whole.keys.astype(object)) > 0).all()
    parts = [
        run_of(values[rows], codes[rows], None, 2, limit)
        for rows in (slice(cut), slice(cut, None))
        if len(values[rows])
    ]
    joined = parts[0] if len(parts) == 1 else merged(*parts, limit)
    assert joined.dropped == whole.dropped
    assert joined.keys.tolist() == whole.keys.tolist()
    assert joined.weights.tolist() == whole.weights.tolist()
    if whole.dropped == 0:
        assert len(whole.keys) == len(set(scores))
