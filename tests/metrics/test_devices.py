"""Metrics of labels, predictions and weights on devices: NumPy's numbers, counted there.

Chunk functions run on arrays of `array_api_strict`, which refuse what the standard has not, and
whole metrics on Dask arrays of a stand-in for CuPy's, which logs what is transferred.
"""

import itertools

import array_api_strict as xp
import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskml_exec import metrics
from daskml_exec.kernels import group_sums as kernel
from daskml_exec.kernels.array_namespace import everywhere, moved, somewhere, to_host
from daskml_exec.kernels.group_sums import group_sums, pair_sums
from daskml_exec.linear_model import LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.metrics._label_pairs import MOST_LABELS
from daskml_exec.metrics._metric import _chunks
from tests.device_standin import HOST, LOG, REMOTE, send
from tests.kernels.test_devices import no_other_way_to_the_host
from tests.metrics.toolbox import (
    CASES,
    CHANCE,
    COUNTS,
    EACH_NAME,
    GUESSED,
    MORE,
    SCORE,
    TEXTS,
    TWO,
    WEIGHT,
    N,
    Y,
    in_chunks,
    name_of,
)

ON_THE_HOST = ("roc_auc_score", "average_precision_score", "top_k_accuracy_score")
ON_THE_HOST += ("ndcg_score", "dcg_score")
ONE, OTHER, NO_FLOAT64 = (xp.Device(name) for name in ("device1", "device2", "no_float64"))
all_cases = pytest.mark.parametrize("case", CASES, ids=name_of)
each_name = pytest.mark.parametrize("case", EACH_NAME, ids=name_of)
weighted_or_not = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
counted_there = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name not in ON_THE_HOST and case.y_true.dtype.kind != "U"],
    ids=name_of,
)


@pytest.fixture(autouse=True)
def nothing_logged():
    LOG.clear()


def record_of(case):
    return metrics.metric(case.name.removesuffix("_score"), **case.options)


def chunk(record, y_true, given, weight):
    return _chunks((record,), {"y_true": y_true, record.takes: given}, weight)[0]


def put(array, device=ONE):
    """Bring numbers to a device; texts, and nothing, stay."""
    kinds = "biuf"
    return (
        array
        if array is None or array.dtype.kind not in kinds
        else xp.asarray(array, device=device)
    )


# The functions of a block.


@all_cases
@weighted_or_not
def test_a_block_on_a_device_has_numpys_number(case, weight):
    record = record_of(case)
    wanted = record.finalise(chunk(record, case.y_true, case.given, weight))
    places = itertools.product((None, ONE, OTHER), repeat=2 if weight is None else 3)
    for on in places:
        columns = [
            column if device is None else put(column, device)
            for column, device in zip((case.y_true, case.given, weight), (*on, None), strict=False)
        ]
        with no_other_way_to_the_host():
            found = chunk(record, *columns)
        assert_allclose(record.finalise(found), wanted, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
def test_dtypes_may_differ(dtype):
    record, guessed = metrics.metric("confusion_matrix"), (GUESSED > 1).astype(dtype)
    wanted = record.finalise(chunk(record, TWO, guessed, None))
    assert np.array_equal(record.finalise(chunk(record, put(TWO), put(guessed), None)), wanted)
    record = metrics.metric("mean_squared_error")
    wanted = record.finalise(chunk(record, TWO, guessed, WEIGHT))
    found = chunk(record, put(TWO), put(guessed), put(WEIGHT))
    assert record.finalise(found) == pytest.approx(wanted, rel=1e-12)


def test_single_precision_is_counted_in_double():
    for name, y, given in (
        ("mean_squared_error", SCORE, CHANCE),
        ("r2", SCORE, CHANCE),
        ("log_loss", Y, MORE),
        ("mean_poisson_deviance", COUNTS, CHANCE + 0.5),
    ):
        record, single = metrics.metric(name), given.astype(np.float32)
        wanted = record.finalise(chunk(record, y, single, WEIGHT))
        found = record.finalise(chunk(record, put(y), put(single), put(WEIGHT)))
        assert found == pytest.approx(wanted, rel=1e-6 if name == "log_loss" else 1e-12)


def test_rows_of_no_weight_stay_labels():
    y, guessed = np.array([0, 1, 1, 2]), np.array([0, 1, 0, 2])
    weight = np.array([1.0, 2.0, 1.0, 0.0])
    record = metrics.metric("confusion_matrix")
    found = record.finalise(chunk(record, put(y), put(guessed), put(weight)))
    assert np.array_equal(found, [[1, 0, 0], [1, 2, 0], [0, 0, 0]])


def test_more_labels_than_a_matrix_of_pairs_has_room_for():
    rng = np.random.default_rng(0)
    y, guessed = rng.integers(0, 2 * MOST_LABELS, (2, 2000))
    weight = rng.random(2000)
    record = metrics.metric("f1", average="macro")
    wanted = record.finalise(chunk(record, y, guessed, weight))
    found = record.finalise(chunk(record, put(y), put(guessed), put(weight)))
    assert found == wanted


def test_sums_by_group_in_several_blocks(monkeypatch):
    monkeypatch.setattr(kernel, "_CELLS", 100)
    values = np.random.default_rng(0).random((N, 2))
    with no_other_way_to_the_host():
        found = group_sums(put(Y), put(values), put(WEIGHT), 3)
        pairs = pair_sums(put(Y), put(GUESSED), put(WEIGHT), 3)
    assert_allclose(found, group_sums(Y, values, WEIGHT, 3), rtol=1e-13)
    wanted = [[WEIGHT[(a == Y) & (b == GUESSED)].sum() for b in range(3)] for a in range(3)]
    assert_allclose(pairs, wanted, rtol=1e-13)


def test_the_same_bits_each_time():
    record = metrics.metric("log_loss")
    found = {record.finalise(chunk(record, put(Y), put(MORE), put(WEIGHT))) for _ in range(3)}
    assert len(found) == 1


def test_probabilities_that_do_not_sum_to_one_and_those_out_of_range():
    record = metrics.metric("log_loss")
    with pytest.warns(UserWarning, match="do not sum to one"):
        record.finalise(chunk(record, put(Y), put(MORE / 2), None))
    for off, message in ((1.5, "greater than 1: 1.5"), (-0.5, "lower than 0: -0.5")):
        bad = CHANCE.copy()
        bad[7] = off
        with pytest.raises(ValueError, match=message):
            chunk(record, put(TWO), put(bad), None)


def test_labels_without_a_column():
    record = metrics.metric("log_loss")
    with pytest.raises(ValueError, match="different number of classes: 3 vs 2"):
        record.finalise(chunk(record, put(Y), put(MORE[:, :2]), put(WEIGHT)))


@pytest.mark.parametrize(
    ("name", "y", "given", "message"),
    [
        ("accuracy", Y, CHANCE, "mix of multiclass and continuous"),
        ("f1", TEXTS[Y], GUESSED, "Mix of label input types"),
        ("accuracy", Y, MORE, "1d array"),
        ("mean_squared_error", Y, MORE, r"different number of output \(1!=3\)"),
        ("r2", Y, MORE, r"different number of output \(1!=3\)"),
        ("mean_poisson_deviance", COUNTS, COUNTS, "smallest are 0 and 0"),
    ],
)
def test_what_is_refused_is_refused_in_the_same_words(name, y, given, message):
    record = metrics.metric(name)
    with pytest.raises(ValueError, match=message) as here:
        chunk(record, y, given, None)
    with pytest.raises(ValueError, match=message) as there, no_other_way_to_the_host():
        chunk(record, put(y), put(given), None)
    assert str(there.value) == str(here.value)


def test_an_array_moves_in_its_own_dtype():
    for like in (np.zeros(1), put(np.zeros(1)), put(np.zeros(1), OTHER)):
        for column in (Y, put(Y), put(Y, OTHER)):
            found = moved(column, like)
            assert getattr(found, "device", None) == getattr(like, "device", None)
            assert np.array_equal(to_host(found), Y) and "int64" in str(found.dtype)
    with no_other_way_to_the_host():
        assert everywhere(put(Y) >= 0) and not everywhere(put(Y) > 0)
        assert somewhere(put(Y) > 0) and not somewhere(put(Y) < 0)


# Whole metrics, of chunks of the stand-in.


def there(array, chunks):
    return in_chunks(array, chunks).map_blocks(send)


def asked(case, y_true, given, weight, **options):
    function = getattr(metrics, case.name)
    return function(y_true, given, sample_weight=weight, **case.options, **options)


@counted_there
@weighted_or_not
def test_only_sums_come_to_the_host(executor, case, weight):
    chunks = (100, 0, 150, 50)
    wanted = asked(case, in_chunks(case.y_true, chunks), in_chunks(case.given, 70), weight)
    assert not LOG
    weights = None if weight is None else there(weight, 60)
    found = asked(case, there(case.y_true, chunks), there(case.given, 70), weights)
    assert_allclose(found, wanted, rtol=1e-12)
    assert LOG and {to for to, _ in LOG} == {HOST}
    assert max(np.prod(shape, dtype=int) for _, shape in LOG) < 20


@each_name
def test_lazily(executor, case):
    y_true, given = (
        in_chunks(each, chunks) if each.dtype.kind == "U" else there(each, chunks)
        for each, chunks in ((case.y_true, 100), (case.given, 70))
    )
    wanted = asked(case, in_chunks(case.y_true, 100), in_chunks(case.given, 100), WEIGHT)
    lazy = asked(case, y_true, given, there(WEIGHT, 100), compute=False)
    assert_allclose(lazy.compute(), wanted, rtol=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "roc_auc_score"])
def test_labels_follow_the_predictions(executor, name):
    function = getattr(metrics, name)
    wanted = function(in_chunks(TWO, 100), in_chunks(CHANCE, 100), sample_weight=WEIGHT)
    # On the host are the labels, or else the scores, and so are weights.
    for y_true, given, long_ways in (
        (in_chunks(TWO, 100), there(CHANCE, 100), {REMOTE} if name == "log_loss" else {HOST}),
        (there(TWO, 100), in_chunks(CHANCE, 100), {HOST}),
    ):
        LOG.clear()
        found = function(y_true, given, sample_weight=WEIGHT)
        assert found == pytest.approx(wanted, rel=1e-12)
        assert {to for to, shape in LOG if shape and shape[0] == 100} == long_ways


def test_texts_stay_on_the_host_and_their_codes_go_to_the_device(executor):
    wanted = metrics.log_loss(in_chunks(TEXTS[Y], 100), in_chunks(MORE, 100))
    found = metrics.log_loss(in_chunks(TEXTS[Y], 100), there(MORE, 100))
    assert found == pytest.approx(wanted, rel=1e-12)
    assert {shape for to, shape in LOG if to == REMOTE} == {(100,)}
    assert max(np.prod(shape, dtype=int) for to, shape in LOG if to == HOST) < 20


def test_columns_in_memory_may_be_on_the_device(executor):
    wanted = metrics.accuracy_score(in_chunks(Y, 100), GUESSED, sample_weight=WEIGHT)
    for compute in (True, False):
        found = metrics.accuracy_score(
            there(Y, 100), send(GUESSED), sample_weight=send(WEIGHT), compute=compute
        )
        assert float(found) == pytest.approx(wanted, rel=1e-12)


def test_several_metrics_share_what_is_transferred(executor):
    names = ["accuracy", "f1", "confusion_matrix"]
    wanted = metrics.scores(names, in_chunks(TWO, 100), y_pred=1 * (GUESSED > 1))
    LOG.clear()
    found = metrics.scores(names, in_chunks(TWO, 100), y_pred=there(1 * (GUESSED > 1), 100))
    assert [to for to, _ in LOG].count(REMOTE) == 3  # the labels, once in each partition
    for name in names:
        assert_allclose(found[name], wanted[name], rtol=1e-12)


def test_pieces_on_several_places_meet_on_the_host(executor):
    client = executor.client
    pieces = [client.submit(send, Y[:100]), *client.scatter([Y[100:]])]
    guesses = client.scatter([GUESSED[:50], GUESSED[50:]])
    wanted = metrics.accuracy_score(in_chunks(Y, 100), GUESSED)
    assert metrics.accuracy_score(pieces, guesses) == wanted
    assert metrics.accuracy_score(guesses, pieces) == wanted


@pytest.mark.parametrize("column", ["y_true", "y_proba", "sample_weight"])
def test_what_is_missing_is_named_by_row_and_partition(executor, column):
    columns = {"y_true": TWO.astype(float), "y_proba": CHANCE, "sample_weight": WEIGHT.copy()}
    columns[column] = columns[column].copy()
    columns[column][103] = np.nan
    name = "y_score" if column == "y_proba" else column
    with pytest.raises(ValueError, match=rf"{name} .* in row 3 of partition 1"):
        metrics.log_loss(**{key: there(value, 100) for key, value in columns.items()})


def test_negative_weights_are_named(executor):
    weight = WEIGHT.copy()
    weight[103] = -1.5
    with pytest.raises(ValueError, match=r"sample_weight has -1\.5 in row 3 of partition 1"):
        metrics.accuracy_score(there(Y, 100), there(GUESSED, 100), sample_weight=there(weight, 100))


def test_devices_without_double_precision_leave_it_to_the_host():
    blocks = [xp.asarray(each, device=NO_FLOAT64) for each in (Y, GUESSED)]
    y, guessed = (da.from_array(np.zeros(N), chunks=N).map_blocks(lambda _, b=b: b) for b in blocks)
    found = metrics.accuracy_score(y, guessed, compute=False)
    assert found.compute(scheduler="sync") == (Y == GUESSED).mean()


# Models' scores.


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (LogisticRegression(), "accuracy"),
        (LogisticRegression(), "f1_macro"),
        (LogisticRegression(), "roc_auc"),
        (LogisticRegression(), "neg_log_loss"),
        (Ridge(), "r2"),
        (Ridge(), "neg_mean_absolute_error"),
        (PoissonRegressor(), "neg_mean_poisson_deviance"),
    ],
)
@pytest.mark.parametrize("columns_there", [False, True])
def test_models_are_scored_by_name(executor, model, name, columns_there):
    X = np.random.default_rng(0).normal(size=(N, 3))
    X[:, 0] += TWO
    y = {"LogisticRegression": TWO, "Ridge": SCORE}.get(type(model).__name__, COUNTS)
    model = type(model)().fit(in_chunks(X, 100), in_chunks(y, 100))
    put_there = there if columns_there else in_chunks
    score = metrics.get_scorer(name)
    wanted = score(model, in_chunks(X, 100), in_chunks(y, 100), sample_weight=WEIGHT)
    found = score(model, there(X, 70), put_there(y, 100), sample_weight=put_there(WEIGHT, 100))
    assert found == pytest.approx(wanted, rel=1e-10)
