"""Every metric over partitions against scikit-learn's over all rows."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import metrics as theirs

from daskml_exec import Executor, metrics
from tests.metrics.toolbox import (
    CASES,
    CHANCE,
    EACH_NAME,
    GUESSED,
    MORE,
    SCORE,
    TWO,
    WEIGHT,
    N,
    Y,
    in_chunks,
    name_of,
)

all_cases = pytest.mark.parametrize("case", CASES, ids=name_of)
each_name = pytest.mark.parametrize("case", EACH_NAME, ids=name_of)
weighted_or_not = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])


def expected(case, weight):
    function = getattr(theirs, case.name)
    return function(case.y_true, case.given, sample_weight=weight, **case.options)


def asked(case, y_true, given, weight, **options):
    function = getattr(metrics, case.name)
    return function(y_true, given, sample_weight=weight, **case.options, **options)


@all_cases
@weighted_or_not
def test_on_a_cluster(executor, case, weight):
    # Weights are of the rows, however these are cut.
    for chunks in ((100, 0, 150, 50),) if weight is None else (N, (100, 0, 150, 50), (0, 1, 299)):
        y_true = in_chunks(case.y_true, chunks)
        found = asked(case, y_true, in_chunks(case.given, 70), weight)
        assert_allclose(found, expected(case, weight), rtol=1e-12, atol=1e-14)
        assert np.asarray(found).dtype == np.asarray(expected(case, weight)).dtype


@all_cases
@weighted_or_not
def test_in_memory_it_is_scikit_learns_own(case, weight):
    found = asked(case, case.y_true, case.given, weight)
    assert_array_equal(found, expected(case, weight))


@each_name
def test_lazily(executor, case):
    y_true = in_chunks(case.y_true, (100, 0, 150, 50))
    lazy = asked(case, y_true, in_chunks(case.given, 70), WEIGHT, compute=False)
    assert_array_equal(lazy.compute(), asked(case, y_true, in_chunks(case.given, 70), WEIGHT))


@st.composite
def cuts(draw):
    ends = sorted(draw(st.lists(st.integers(0, N), max_size=6)))
    return tuple(np.diff([0, *ends, N]).tolist())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=st.sampled_from(CASES), chunks=cuts(), others=cuts())
def test_any_chunks(executor, case, chunks, others):
    y_true, given_ = in_chunks(case.y_true, chunks), in_chunks(case.given, others)
    found = asked(case, y_true, given_, WEIGHT)
    assert_allclose(found, expected(case, WEIGHT), rtol=1e-12, atol=1e-14)


def test_one_against_one(executor):
    for average in ("macro", "weighted"):
        options = {"multi_class": "ovo", "average": average}
        found = metrics.roc_auc_score(in_chunks(Y, 40), MORE, **options)
        assert found == pytest.approx(theirs.roc_auc_score(Y, MORE, **options), rel=1e-12)


@weighted_or_not
def test_support(executor, weight):
    found = metrics.precision_recall_fscore_support(
        in_chunks(Y, 40), in_chunks(GUESSED, 70), sample_weight=weight
    )
    parts = theirs.precision_recall_fscore_support(Y, GUESSED, sample_weight=weight)
    for ours, other in zip(found, parts, strict=True):
        assert_allclose(ours, other, rtol=1e-12)


def test_kinds_may_be_mixed(executor):
    frame = pd.DataFrame({"y": TWO, "score": SCORE})
    on_cluster = dd.from_pandas(frame, npartitions=3)
    futures = executor.client.scatter([SCORE[:120], SCORE[120:120], SCORE[120:]])
    area = theirs.roc_auc_score(TWO, SCORE)
    for y_true in (TWO, TWO.tolist(), frame["y"], on_cluster["y"], in_chunks(TWO, 41)):
        for score in (on_cluster["score"], on_cluster[["score"]], futures, in_chunks(SCORE, 99)):
            assert metrics.roc_auc_score(y_true, score) == pytest.approx(area, rel=1e-12)
    lazy = metrics.accuracy_score(on_cluster["y"], on_cluster["y"], compute=False)
    assert lazy.compute() == 1.0


def test_same_bits_on_any_number_of_workers():
    bits = set()
    for n_workers in (1, 4):  # with two are all other tests
        with Executor(processes=False, n_workers=n_workers):
            found = [
                np.asarray(asked(case, in_chunks(case.y_true, 60), case.given, WEIGHT)).tobytes()
                for case in {case.name: case for case in CASES}.values()
            ]
            bits.add(tuple(found))
    assert len(bits) == 1


def test_several_share_one_pass(executor):
    names = {"right": "accuracy", "loss": "log_loss", "area": "roc_auc"}
    y_true, given_ = in_chunks(TWO, 50), {"y_pred": GUESSED > 1, "y_score": CHANCE}
    found = metrics.scores(names, y_true, **given_, sample_weight=WEIGHT)
    alone = {
        "right": metrics.accuracy_score(y_true, GUESSED > 1, sample_weight=WEIGHT),
        "loss": metrics.log_loss(y_true, CHANCE, sample_weight=WEIGHT),
        "area": metrics.roc_auc_score(y_true, CHANCE, sample_weight=WEIGHT),
    }
    assert found == alone
    lazy = metrics.scores(names, y_true, **given_, sample_weight=WEIGHT, compute=False)
    assert {name: float(value.compute()) for name, value in lazy.items()} == alone
