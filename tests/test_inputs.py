"""In memory and on the cluster, the same call gives the same answer or the same kind of error."""

import datetime
import itertools
import warnings
from functools import cache

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import Executor
from daskml_exec.linear_model import LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.tiers import slow

N = 40
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(N, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
COUNTS = RNG.poisson(2.0, size=N).astype(float)
WEIGHTS = RNG.integers(1, 4, size=N) / 2
NET = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}

MODELS = {
    "logistic": (LogisticRegression, LABELS),
    "ridge": (Ridge, COUNTS),
    "poisson": (PoissonRegressor, COUNTS),
    "classifier": (lambda: MLPClassifier(**NET), LABELS),
    "regressor": (lambda: MLPRegressor(**NET), COUNTS),
}


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def halves(values, executor):
    return executor.client.scatter([values[: N // 2], values[N // 2 :]], hash=False)


def dask_array(values, executor):
    values = values if sp.issparse(values) else np.asarray(values)
    if sp.issparse(values):
        return da.from_array(values.toarray(), chunks=(N // 2, 3)).map_blocks(sp.csr_matrix)
    return da.from_array(values, chunks=(N // 2, *values.shape[1:]))


def dask_frame(values, executor):
    frame = pd.DataFrame if np.ndim(values) == 2 else pd.Series
    return dd.from_pandas(values if hasattr(values, "iloc") else frame(values), npartitions=2)


WAYS = {"dask": dask_array, "frame": dask_frame, "futures": halves}


def outcome(call):
    """What a call gives: numbers, or the kind of its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(call(), dtype=float)
        except (ValueError, TypeError) as error:
            return type(error)


def outcomes(new, good, X, y, w):
    """What fit, predict and score give."""
    return {
        "fit": outcome(lambda: coefficients(new().fit(X, y, w))),
        "predict": outcome(lambda: computed(good.predict(X))),
        "score": outcome(lambda: good.score(X, y, w)),
    }


def coefficients(model):
    first = model.coefs_[0] if hasattr(model, "coefs_") else model.coef_
    return np.ravel(first)


def computed(result):
    if isinstance(result, list):
        return np.concatenate([future.result() for future in result])
    return result.compute() if hasattr(result, "compute") else result


def changed(values, value, where=(25, 1), dtype=object):
    values = np.array(values, dtype=dtype)
    values[where if values.ndim == 2 else where[0]] = value
    return values


def frame_with(column):
    return pd.DataFrame({"a": ROWS[:, 0], "b": column, "c": ROWS[:, 2]})


DEFECTS = {
    "none": (lambda y: (ROWS, y, WEIGHTS)),
    "weights of one column": (lambda y: (ROWS, y, WEIGHTS[:, None])),
    "target of one column": (lambda y: (ROWS, y[:, None], None)),
    "NaN": (lambda y: (changed(ROWS, np.nan, dtype=float), y, None)),
    "infinity": (lambda y: (changed(ROWS, np.inf, dtype=float), y, None)),
    "text": (lambda y: (changed(ROWS, "text"), y, None)),
    "dates": (lambda y: (ROWS.astype("M8[s]"), y, None)),
    "durations": (lambda y: (ROWS.astype("m8[s]"), y, None)),
    "a date among objects": (lambda y: (changed(ROWS, np.datetime64("2026-01-01")), y, None)),
    "a day among objects": (lambda y: (changed(ROWS, datetime.date(2026, 1, 1)), y, None)),
    "complex": (lambda y: (ROWS + 1j, y, None)),
    "numbers as objects": (lambda y: (ROWS.astype(object), y, None)),
    "a column too few": (lambda y: (ROWS[:, :2], y, None)),
    "NaN in y": (lambda y: (ROWS, changed(y, np.nan, dtype=float), None)),
    "text in y": (lambda y: (ROWS, changed(y, "text"), None)),
    "all text in y": (lambda y: (ROWS, np.where(y > 1, "a", "b"), None)),
    "fractions in y": (lambda y: (ROWS, y + 0.25, None)),
    "durations in y": (lambda y: (ROWS, np.arange(N).astype("m8[s]"), None)),
    "negative weights": (lambda y: (ROWS, y, -WEIGHTS)),
    "NaN among weights": (lambda y: (ROWS, y, changed(WEIGHTS, np.nan, dtype=float))),
    "durations as weights": (lambda y: (ROWS, y, np.arange(N).astype("m8[s]"))),
    "weights of text": (lambda y: (ROWS, y, np.full(N, "much"))),
    "no weight": (lambda y: (ROWS, y, np.zeros(N))),
}


DASK_MAKES_TEXT = {"a date among objects", "a day among objects", "text in y"}
"""Of objects in a frame, without a word."""

OTHER_ERROR = {"text in y"}
"""Objects that are numbers, which are no labels, are found before numbers beside texts."""


OF_Y = [name for name in DEFECTS if name == "none" or "target" in name or name.endswith(" in y")]
# Labels and numbers are read in other ways, rows and weights are not; a network reads them as the
# linear model does.
ALWAYS = {
    *(("logistic", defect) for defect in DEFECTS),
    *(("ridge", defect) for defect in OF_Y),
    *(("poisson", defect) for defect in ("none", "fractions in y", "NaN in y")),
    *(("classifier", defect) for defect in ("none", "weights of one column", "text in y")),
    *(("regressor", defect) for defect in ("target of one column", "NaN", "no weight")),
}


@cache
def fitted(name):
    new, target = MODELS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return new().fit(ROWS, target)


@pytest.mark.parametrize(
    ("name", "defect"),
    [case if case in ALWAYS else slow(*case) for case in itertools.product(MODELS, DEFECTS)],
)
def test_the_cluster_answers_as_memory_does(executor, name, defect):
    (new, target), good = MODELS[name], fitted(name)
    data = DEFECTS[defect](target)
    expected = outcomes(new, good, *data)
    wrong = []
    for kind, way in WAYS.items():
        if kind == "frame" and defect in DASK_MAKES_TEXT:
            continue
        there = tuple(None if part is None else way(part, executor) for part in data)
        for call, found in outcomes(new, good, *there).items():
            # Networks are averages over partitions, of which data in memory is one.
            averages = call == "fit" and hasattr(good, "coefs_")
            if defect in OTHER_ERROR and isinstance(found, type):
                found = TypeError if expected[call] is TypeError else found
            if not alike(found, expected[call], values=not averages):
                wrong.append(f"{call} of {kind}: {found}, in memory {expected[call]}")
    assert not wrong, "\n".join(wrong)


def alike(found, expected, *, values):
    if isinstance(found, type) or isinstance(expected, type):
        return found is expected
    return found.shape == expected.shape and (
        not values or np.allclose(found, expected, rtol=1e-6, atol=1e-8, equal_nan=True)
    )
