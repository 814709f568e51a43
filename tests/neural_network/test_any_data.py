"""Every kind of input, cut alike, gives the bits of the fit without Dask."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.utils import check_random_state

from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.linear_model.toolbox import NAMES, as_csr, as_dask, as_frame, as_futures, computed
from tests.neural_network.without_dask import cut, plain
from tests.tiers import each_pair, each_value

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N, CUTS = 300, (75, 150, 225)
SEED = check_random_state(7).randint(np.iinfo(np.int32).max)
RNG = np.random.default_rng(0)
X = np.where(RNG.random((N, 4)) < 0.4, 0.0, RNG.standard_normal((N, 4)))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(N)
WEIGHT = RNG.exponential(size=N)
CODES = {2: (NUMBERS > 0).astype(int), 3: np.digitize(NUMBERS, [-1.0, 1.0])}
SPECIES = np.array(["setosa", "versicolor", "virginica"])
ARGUMENTS = {
    "hidden_layer_sizes": (6, 5),
    "sync_every": 1,
    "learning_rate_init": 0.02,
    "max_iter": 3,
    "tol": 0.0,
    "n_iter_no_change": np.inf,
    "random_state": 7,
}
on_targets = pytest.mark.parametrize("n_classes", [2, 3, None], ids=["two", "three", "numbers"])


def estimator(n_classes, **arguments):
    kind = MLPRegressor if n_classes is None else MLPClassifier
    return kind(**ARGUMENTS | arguments)


def target(n_classes):
    """Return numbers, or labels that are strings."""
    return NUMBERS if n_classes is None else SPECIES[CODES[n_classes]]


def oracle(X, weight, n_classes, bounds=(0, *CUTS, N), **arguments):
    """Return the parameters that rounds in plain Python come to."""
    y = NUMBERS if n_classes is None else CODES[n_classes]
    fit = plain(
        cut(X, y, weight, bounds=bounds),
        hidden=(6, 5),
        n_classes=n_classes,
        learning_rate=0.02,
        sync_every=1,
        seed=SEED,
        outer="auto",
        **arguments,
    )
    return fit.run().model.parameters.tobytes()


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


def futures(executor, *arrays):
    return [as_futures(executor, array, CUTS) for array in arrays]


# From rows, targets and weights to what is given to `fit`; y and weights are cut in other places.
DENSE = {
    "NumPy": lambda executor, X, y, w: (X, y, w),
    "pandas": lambda executor, X, y, w: (pd.DataFrame(X, columns=NAMES), pd.Series(y), w),
    "NumPy with Dask targets": lambda executor, X, y, w: (X, da.from_array(y, chunks=110), w),
    "Dask array": lambda executor, X, y, w: (
        da.from_array(X, chunks=(75, 3)),
        da.from_array(y, chunks=110),
        da.from_array(w, chunks=64),
    ),
    "Dask array with NumPy targets": lambda executor, X, y, w: (
        da.from_array(X, chunks=(75, 4)),
        y,
        w,
    ),
    "Dask frame": lambda executor, X, y, w: (
        as_frame(X),
        dd.from_pandas(pd.Series(y, np.arange(N) * 3), npartitions=3),
        da.from_array(w, chunks=64),
    ),
    "futures": lambda executor, X, y, w: futures(executor, X, y, w),
    "futures with NumPy targets": lambda executor, X, y, w: (*futures(executor, X), y, w),
}
SPARSE = {
    "CSR": lambda executor, X, y, w: (sp.csr_array(X), y, w),
    "CSR matrix": lambda executor, X, y, w: (sp.csr_matrix(X), y, w),
    "Dask array of CSR": lambda executor, X, y, w: (
        da.from_array(X, chunks=(75, 4)).map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0))),
        da.from_array(y, chunks=110),
        w,
    ),
    "futures of CSR": lambda executor, X, y, w: (*futures(executor, sp.csr_array(X)), y, w),
}


def in_four(X):
    """Return the size of the partitions in which data in memory has our cuts."""
    if not sp.issparse(X):
        return -(-np.asarray(X).nbytes // 4)
    return -(-(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) // 4)


@each_value(
    kind=[*DENSE, *SPARSE],
    given=[(2, np.float32), (3, np.float64), (None, np.float32)],
)
def test_kinds_that_are_cut_alike_give_the_same_bits(executor, kind, given):
    n_classes, dtype = given
    data = X.astype(dtype)
    rows, y, weight = (DENSE | SPARSE)[kind](executor, data, target(n_classes), WEIGHT)
    in_memory = isinstance(rows, (np.ndarray, pd.DataFrame)) or sp.issparse(rows)
    size = in_four(rows) if in_memory else "64 MiB"
    with dask.config.set({"daskml-exec.partition-bytes": size}):
        model = estimator(n_classes).fit(rows, y, weight)
    assert model.history_.n_partitions == 4
    assert {piece.dtype for piece in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}
    stored = sp.csr_array(data) if kind in SPARSE else data
    assert bits(model) == oracle(stored, WEIGHT, n_classes)
    if n_classes:
        assert model.classes_.tolist() == SPECIES[:n_classes].tolist()


@on_targets
@pytest.mark.parametrize("kind", [as_dask, as_csr])
def test_chunks_that_differ_or_are_empty(kind, n_classes):
    model = estimator(n_classes).fit(kind(X), da.from_array(target(n_classes), chunks=101))
    stored = sp.csr_array(X) if kind is as_csr else X
    assert bits(model) == oracle(stored, None, n_classes, bounds=(0, 20, 20, 53, N))


@on_targets
def test_whole_numbers_are_trained_in_double_precision(n_classes):
    whole = np.round(2 * X).astype(int)
    y = target(n_classes)
    model = estimator(n_classes).fit(as_dask(whole), y)
    assert model.coefs_[0].dtype == np.float64
    assert bits(model) == bits(estimator(n_classes).fit(as_dask(whole.astype(float)), y))


@each_value(n_classes=[2, 3, None], dtype=[np.float32, np.float64])
def test_predictions_are_lazy_and_of_the_kind_of_the_rows(executor, n_classes, dtype):
    data = X.astype(dtype)
    model = estimator(n_classes).fit(as_dask(data), target(n_classes))
    names = ["predict"] if n_classes is None else ["predict", "predict_proba", "predict_log_proba"]
    for name in names:
        predict = getattr(model, name)
        expected = predict(data)
        assert expected.dtype == (dtype if name != "predict" or n_classes is None else "<U10")
        same(predict(sp.csr_array(data)), expected)
        meta = sp.csr_matrix((0, 0), dtype=dtype)
        for given in (as_dask(data), as_dask(data).map_blocks(sp.csr_matrix, meta=meta)):
            lazy = predict(given)
            assert isinstance(lazy, da.Array) and lazy.chunks[0] == given.chunks[0]
            assert lazy.dtype == expected.dtype and lazy.shape == expected.shape
            same(lazy.compute(), expected)
        gathered = executor.client.gather(predict(as_futures(executor, data)))
        same(np.concatenate(gathered), expected)


TOLERANCE = {4: {"rtol": 1e-4, "atol": 1e-5}, 8: {"rtol": 1e-9, "atol": 1e-12}}


def same(found, expected):
    assert found.dtype == expected.dtype
    if found.dtype.kind == "f":
        assert_allclose(found, expected, **TOLERANCE[found.dtype.itemsize])
    else:
        assert np.array_equal(found, expected)


@on_targets
def test_predictions_for_a_frame_have_its_index(n_classes):
    frame = as_frame(X)
    model = estimator(n_classes).fit(frame, target(n_classes))
    assert model.feature_names_in_.tolist() == NAMES
    predicted = model.predict(frame)
    assert isinstance(predicted, dd.Series)
    assert predicted.compute().index.equals(frame.compute().index)
    assert np.array_equal(computed(predicted), model.predict(frame.compute()))
    if n_classes:
        probabilities = model.predict_proba(frame)
        assert isinstance(probabilities, dd.DataFrame)
        assert list(probabilities.columns) == list(model.classes_)
        assert_allclose(computed(probabilities).sum(axis=1), 1.0)


@on_targets
def test_scores_are_counted_where_the_rows_are(executor, n_classes):
    y = target(n_classes)
    model = estimator(n_classes, max_iter=30).fit(as_dask(X), y)
    expected = model.score(X, y, WEIGHT)
    assert expected > 0.5
    assert model.score(as_dask(X), y, WEIGHT) == pytest.approx(expected, rel=1e-10)
    by_chunk = model.score(as_csr(X), da.from_array(y, chunks=90), WEIGHT)
    assert by_chunk == pytest.approx(expected, rel=1e-10)
    assert model.score(*futures(executor, X, y, WEIGHT)) == pytest.approx(expected, rel=1e-10)
    assert model.score(X, da.from_array(y, chunks=90), WEIGHT) == expected


@each_pair(n_classes=[2, 3, None], early_stopping=[False, True], kind=[np.asarray, as_csr])
def test_what_rows_without_weight_hold_changes_nothing(kind, early_stopping, n_classes):
    """They keep their places in the batches, whatever they are."""
    weight = np.where(RNG.random(N) < 0.3, 0.0, WEIGHT)
    away = weight == 0.0
    y = target(n_classes)
    other_y = y.copy()
    other_y[away] = 1e6 if n_classes is None else SPECIES[-1]
    other = np.where(away[:, None], 1e3 * RNG.standard_normal(X.shape), X)
    given = {"early_stopping": early_stopping, "validation_fraction": 0.2}
    models = [
        estimator(n_classes, **given).fit(kind(rows), labels, weight)
        for rows, labels in ((X, y), (other, other_y))
    ]
    assert bits(models[0]) == bits(models[1])
    assert models[0].loss_curve_ == models[1].loss_curve_
    assert models[0].validation_scores_ == models[1].validation_scores_
    if n_classes:  # virginica is a class only where it has weight
        assert models[1].classes_.tolist() == SPECIES[:n_classes].tolist()


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_a_class_without_weight_is_no_class(kind):
    weight = np.where(CODES[3] == 2, 0.0, 1.0)
    model = estimator(3).fit(kind(X), SPECIES[CODES[3]], weight)
    assert model.classes_.tolist() == ["setosa", "versicolor"]
    assert model.n_outputs_ == 1 and model.predict_proba(X).shape == (N, 2)


@on_targets
def test_weights_that_are_all_one_are_no_weights(n_classes):
    y = target(n_classes)
    models = [estimator(n_classes).fit(as_dask(X), y, w) for w in (None, np.ones(N))]
    for with_ones, without in zip(models[1].coefs_, models[0].coefs_, strict=True):
        assert_allclose(with_ones, without, rtol=1e-9, atol=1e-12)
