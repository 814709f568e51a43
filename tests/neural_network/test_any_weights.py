"""Only the ratios of weights count, in every precision and strategy; rows that count are enough."""

import dask.array as da
import numpy as np
import pytest

from daskml_exec.neural_network import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N = 90
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 3))
NUMBERS = X @ [1.0, -2.0, 0.5]
WEIGHT = np.where(RNG.random(N) < 0.2, 0.0, RNG.uniform(0.5, 2.0, N))
ARGUMENTS = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 1, "alpha": 0.0}
TARGETS = {MLPClassifier: (NUMBERS > 0).astype(int), MLPRegressor: NUMBERS}
on_both = pytest.mark.parametrize("kind", TARGETS)


def chunks(array):
    return da.from_array(array, chunks=(30, *array.shape[1:]))


def bits(model):
    return b"".join(part.tobytes() for part in (*model.coefs_, *model.intercepts_))


def fitted(kind, weight, dtype="f4", given=chunks, **arguments):
    model = kind(**ARGUMENTS | arguments)
    return model.fit(given(X.astype(dtype)), given(TARGETS[kind]), given(weight))


@on_both
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        (np.asarray, {}),
        (chunks, {"early_stopping": True}),
        (chunks, {"compression": "fp16", "sync_every": 1}),
        (chunks, {"parallel": "model", "n_blocks": 2}),
        (chunks, {"parallel": "hybrid", "n_blocks": 2}),
    ],
    ids=["memory", "early stopping", "compression", "model", "hybrid"],
)
@pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=pytest.mark.slow)])
def test_powers_of_two_change_no_bit(kind, given, arguments, dtype):
    expected = fitted(kind, WEIGHT, dtype, given, **arguments)
    for exponent in (-160, 160) if dtype == "f4" else (-1000, 1000):
        found = fitted(kind, np.ldexp(WEIGHT, exponent), dtype, given, **arguments)
        assert bits(found) == bits(expected)
        assert found.loss_curve_ == expected.loss_curve_


@on_both
def test_the_penalty_is_relative_to_the_weights_sum(kind):
    expected = fitted(kind, WEIGHT, alpha=0.5)
    assert bits(fitted(kind, WEIGHT * 2.0**-140, alpha=0.5 * 2.0**-140)) == bits(expected)
    assert bits(fitted(kind, WEIGHT, alpha=0.0)) != bits(expected)


@on_both
def test_a_penalty_that_outweighs_the_rows_is_named(kind):
    with pytest.raises(ValueError, match=r"alpha over the weight of a step.*lower alpha"):
        fitted(kind, WEIGHT * 1e-45, alpha=1.0, solver="sgd")


@on_both
@pytest.mark.parametrize("given", [np.asarray, chunks])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_that_are_all_zero_are_named(kind, given, method):
    model = kind(**ARGUMENTS)
    known = {"classes": [0, 1]} if method == "partial_fit" and kind is MLPClassifier else {}
    with pytest.raises(ValueError, match=r"(?i)sample.weights?.*zero"):
        getattr(model, method)(
            given(X), given(TARGETS[kind]), sample_weight=given(np.zeros(N)), **known
        )
    assert not hasattr(model, "coefs_")


@on_both
@pytest.mark.parametrize("given", [np.asarray, chunks])
def test_held_out_rows_of_weight_zero_are_refused_before_training(kind, given):
    weight = np.zeros(N)
    weight[[0, 1, 2, 50]] = 1.0, 2.0, 1.0, 1.0
    weight[np.flatnonzero(TARGETS[kind] > 0)[:2]] = 1.0
    refused = 0
    for seed in range(5):
        model = kind(**ARGUMENTS | {"random_state": seed, "early_stopping": True})
        told = []
        model.set_params(callbacks=[told.append])
        try:
            model.fit(given(X), given(TARGETS[kind]), given(weight))
        except ValueError as error:
            assert "sample_weight is zero in all rows that validation_fraction=0.1" in str(error)
            assert not told
            refused += 1
        else:
            assert np.isfinite(model.validation_scores_).all()
    assert refused


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_no_score_is_nan(solver, early_stopping):
    y = NUMBERS * 1e17
    model = MLPRegressor(
        **ARGUMENTS | {"solver": solver, "early_stopping": early_stopping, "max_iter": 20}
    )
    try:
        model.fit(chunks(X.astype("f4")), chunks(y))
    except ValueError as error:
        assert "y, which reaches" in str(error) or "X or y" in str(error)
    else:
        assert np.isfinite(model.loss_curve_).all()
        assert model.validation_scores_ is None or np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("parallel", ["data", "model", "hybrid"])
@pytest.mark.parametrize(
    ("dtype", "value", "remedy"),
    [("f4", 1e30, "float32. Rescale y, or pass X in float64"), ("f8", -1e200, "float64. Rescale")],
)
def test_targets_whose_square_overflows_are_named(parallel, dtype, value, remedy):
    y = NUMBERS.copy()
    y[70] = value
    model = MLPRegressor(**ARGUMENTS | {"parallel": parallel})
    with pytest.raises(ValueError) as caught:
        model.fit(chunks(X.astype(dtype)), chunks(y))
    text = str(caught.value)
    assert f"y has {value:g} in row 10 of partition 2" in text and remedy in text
    weight = np.ones(N)
    weight[70] = 0.0  # rows of weight zero are left out
    model.fit(chunks(X.astype(dtype)), chunks(y), chunks(weight))
    assert np.isfinite(model.loss_curve_).all()
