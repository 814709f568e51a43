"""Where there are fewer rows than a step should take, it takes all; a stream hears so once."""

import warnings

import dask.array as da
import numpy as np
import pytest

from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.tiers import each_pair

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N = 90
RNG = np.random.default_rng(2)
X = RNG.standard_normal((N, 3))
NUMBERS = X @ [1.0, -2.0, 0.5]
TARGETS = {MLPClassifier: (NUMBERS > 0).astype(int), MLPRegressor: NUMBERS}
ARGUMENTS = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
on_both = pytest.mark.parametrize("kind", TARGETS)


def chunks(array):
    return da.from_array(array, chunks=(30, *array.shape[1:]))


def bits(model):
    return b"".join(part.tobytes() for part in (*model.coefs_, *model.intercepts_))


def told(caught):
    return [str(w.message) for w in caught if w.category is UserWarning]


@each_pair(
    kind=[MLPClassifier, MLPRegressor],
    given=[np.asarray, chunks],
    case=[
        ({}, 90),
        ({"early_stopping": True, "validation_fraction": 0.2}, 72),
        ({"parallel": "model", "n_blocks": 2}, 90),
    ],
)
def test_a_step_takes_all_rows_and_the_fit_says_so(kind, given, case):
    arguments, rows = case
    data = given(X), given(TARGETS[kind])
    with pytest.warns(UserWarning, match=f"batch_size=91 is more than the {rows} rows") as caught:
        model = kind(**ARGUMENTS | arguments, batch_size=91).fit(*data)
    (warning,) = (w for w in caught if w.category is UserWarning)
    assert warning.filename == __file__
    assert bits(model) == bits(kind(**ARGUMENTS | arguments, batch_size=rows).fit(*data))


@on_both
def test_a_stream_with_a_short_piece_goes_on(kind):
    known = {"classes": [0, 1]} if kind is MLPClassifier else {}
    model = kind(**ARGUMENTS, batch_size=32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for rows in (slice(0, 40), slice(40, 60), slice(60, 70), slice(70, 90)):
            model.partial_fit(X[rows], TARGETS[kind][rows], **known)
    (text,) = told(caught)
    assert "batch_size=32 is more than the 20 rows" in text
    assert model.t_ == N


@on_both
def test_a_sorted_stream_is_told_once_and_each_fit_anew(kind):
    known = {"classes": [0, 1]} if kind is MLPClassifier else {}
    order = np.argsort(NUMBERS)
    data = chunks(X[order]), chunks(TARGETS[kind][order])
    model = kind(**ARGUMENTS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            model.partial_fit(*data, **known)
    assert len(told(caught)) == 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            model.fit(*data)
        model.partial_fit(*data, **known)
    assert len(told(caught)) == 2
