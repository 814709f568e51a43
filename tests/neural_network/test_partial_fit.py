"""Training that goes on where it was: `partial_fit`, and `warm_start`."""

import dask.array as da
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from daskml_exec import Executor
from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.neural_network import DivergenceError, MLPClassifier, MLPRegressor
from tests.linear_model.toolbox import as_csr, as_dask, as_frame
from tests.neural_network.test_oracle import distance, sklearn_from
from tests.neural_network.without_dask import cut, plain
from tests.tiers import each_pair

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings(
        "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning",
        "ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning",
    ),
]

N, D = 300, 4
RNG = np.random.default_rng(2)
X = RNG.standard_normal((N, D))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(N)
LABELS = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-1.0, 1.0])]
SMALL = {"hidden_layer_sizes": (5,), "random_state": 3, "sync_every": 1}


def classifier(**arguments):
    return MLPClassifier(**SMALL | arguments)


def regressor(**arguments):
    return MLPRegressor(**SMALL | arguments)


def target(model):
    return LABELS if isinstance(model, MLPClassifier) else NUMBERS


def more(model, X, y, **arguments):
    """Call `partial_fit` as each of the two wants it."""
    if isinstance(model, MLPClassifier):
        arguments = {"classes": ["a", "b", "c"]} | arguments
    return model.partial_fit(X, y, **arguments)


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


on_both = pytest.mark.parametrize("new", [classifier, regressor])


@on_both
@pytest.mark.parametrize(
    "arguments",
    [
        {"solver": "adam"},
        {"solver": "sgd", "momentum": 0.0},
        {"solver": "sgd", "momentum": 0.9},
        {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
    ],
    ids=lambda arguments: "-".join(map(str, arguments.values())),
)
def test_two_calls_are_those_of_sklearn(new, arguments):
    """Moments, and the rows gone through, are remembered from one call to the next."""
    arguments = arguments | {"shuffle": False, "batch_size": 32, "learning_rate_init": 0.01}
    model = new(**arguments)
    parts = [slice(0, 180), slice(180, N)]
    # The first weights are seen by a fit whose steps are too small to be any.
    seen = new(**arguments | {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 1e-300})
    more(seen, X[:40], target(model)[:40])
    layout = Layout((D, 5, 3 if new is classifier else 1))
    other = sklearn_from(
        layout,
        layout.flat(seen.coefs_, seen.intercepts_),
        new is regressor,
        hidden_layer_sizes=(5,),
        **arguments,
    )
    for part in [*parts, parts[0]]:
        more(model, X[part], target(model)[part])
        if new is classifier:
            other.partial_fit(X[part], LABELS[part], classes=["a", "b", "c"])
        else:
            other.partial_fit(X[part], NUMBERS[part])
        assert distance(layout, layout.flat(model.coefs_, model.intercepts_), other) < 1e-10
    assert model.n_iter_ == 3 and model.t_ == other.t_ == 480
    assert model.loss_curve_ == pytest.approx(other.loss_curve_, rel=1e-9)


def rounds(new, compression):
    """Return a fit in plain Python that ends with its first epoch."""
    codes = np.unique(LABELS, return_inverse=True)[1]
    return plain(
        cut(X, codes if new is classifier else NUMBERS, bounds=[0, 20, 20, 53, N]),
        hidden=(5,),
        n_classes=3 if new is classifier else None,
        sync_every=1,
        seed=check_random_state(3).randint(np.iinfo(np.int32).max),
        compression=compression,
        max_iter=1,
    )


@each_pair(
    new=[classifier, regressor],
    compression=[None, "fp16", "topk:0.1"],
    outer=["average", "nesterov"],
)
def test_calls_over_dask_are_epochs_of_one_fit(new, compression, outer):
    """Momentum, what the driver has not said, and what each partition has not said, go on."""
    arguments = {"compression": compression, "outer": outer, "sync_every": 3}
    model = new(**arguments)
    for calls in (1, 2, 3):
        more(model, as_dask(X), da.from_array(target(model), chunks=101))
        whole = new(max_iter=calls, **arguments).fit(as_dask(X), target(model))
        assert bits(model) == bits(whole)
        assert model.loss_curve_ == whole.loss_curve_
    assert model.n_iter_ == 3 and model.t_ == 3 * N
    assert model.history_.n_partitions == 4


@on_both
def test_weights_that_were_changed_since_are_gone_on_from(new):
    model, other = (new(compression="topk:0.1", outer="nesterov") for _ in range(2))
    for each in (model, other):
        more(each, as_dask(X), target(each))
    other.coefs_ = [np.zeros_like(coef) for coef in other.coefs_]
    for each in (model, other):
        more(each, as_dask(X), target(each))
    assert bits(model) != bits(other)


def test_the_last_event_has_the_weights_that_are_fitted():
    seen = []
    model = regressor(
        compression="topk:0.1", callbacks=[lambda event: seen.append(event.estimator)]
    )
    more(model, as_dask(X), NUMBERS)
    assert bits(seen[-1]) == bits(model)


def test_residuals_cannot_go_on_over_other_partitions():
    """Then training goes on from the weights that are shown."""
    model = regressor(compression="topk:0.1")
    more(model, as_dask(X), NUMBERS)
    more(model, da.from_array(X, chunks=(150, -1)), NUMBERS)
    assert model.n_iter_ == 2 and np.isfinite(model.loss_)


@each_pair(
    new=[classifier, regressor], outer=["average", "nesterov", "auto"], solver=["adam", "sgd"]
)
def test_as_many_calls_are_a_fit_of_as_many_epochs(new, outer, solver):
    arguments = {"outer": outer, "solver": solver, "n_iter_no_change": 10}
    model, whole = new(**arguments), new(max_iter=3, **arguments)
    for _ in range(3):
        more(model, as_dask(X), target(model))
    whole.fit(as_dask(X), target(whole))
    assert bits(model) == bits(whole)
    assert model.loss_curve_ == whole.loss_curve_ and model.t_ == whole.t_


@on_both
@pytest.mark.parametrize("compression", [None, "topk:0.1"])
def test_same_bits_on_one_worker_and_on_two(new, compression):
    found = set()
    for n_workers in (1, 2):
        with Executor(processes=False, n_workers=n_workers):
            model = new(compression=compression)
            for kind in (as_dask, as_csr, np.asarray):
                more(model, kind(X), target(model))
            found.add(bits(model))
    assert len(found) == 1


@on_both
def test_the_loss_sinks_from_call_to_call(new):
    model = new(learning_rate_init=0.03)
    for _ in range(6):
        more(model, as_frame(X), target(model))
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]
    assert len(model.loss_curve_) == model.n_iter_ == 6
    assert model.best_loss_ == min(model.loss_curve_)


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
class TestClasses:
    def test_they_are_needed_in_the_first_call(self, kind):
        model = classifier()
        with pytest.raises(ValueError, match="classes must be passed on the first call"):
            model.partial_fit(kind(X), LABELS)
        assert not hasattr(model, "coefs_")

    def test_they_may_be_said_again_but_not_differ(self, kind):
        model = classifier().partial_fit(kind(X), LABELS, classes=["c", "b", "a"])
        assert model.classes_.tolist() == ["a", "b", "c"]
        model.partial_fit(kind(X), LABELS).partial_fit(kind(X), LABELS, classes=["a", "b", "c"])
        before = bits(model)
        with pytest.raises(ValueError, match=r"classes=\['a', 'b'\] differ .*\['a', 'b', 'c'\]"):
            model.partial_fit(kind(X), LABELS, classes=["a", "b"])
        assert bits(model) == before and model.n_iter_ == 3

    def test_labels_must_be_among_them(self, kind):
        model = classifier()
        message = r"not among the classes: \['c'\]; allowed are \['a', 'b'\]"
        with pytest.raises(ValueError, match=message):
            model.partial_fit(kind(X), LABELS, classes=["a", "b"])
        model.partial_fit(kind(X), LABELS, classes=["a", "b", "c"])
        before = bits(model)
        strange = np.where(LABELS == "a", "z", LABELS)
        with pytest.raises(ValueError, match=r"not among the classes: \['z'\]"):
            model.partial_fit(kind(X), strange)
        assert bits(model) == before

    def test_rows_may_lack_all_but_one_of_them(self, kind):
        rows = LABELS == "b"
        model = classifier().partial_fit(X[rows], LABELS[rows], classes=["a", "b", "c", "d"])
        assert model.predict_proba(kind(X)).shape == (N, 4)
        model.partial_fit(kind(X), LABELS)
        assert model.n_outputs_ == 4 and model.classes_.tolist() == ["a", "b", "c", "d"]

    def test_those_of_a_fit_are_known(self, kind):
        model = classifier(max_iter=2).fit(kind(X), LABELS)
        model.partial_fit(kind(X), LABELS)
        assert model.n_iter_ == 3 and len(model.loss_curve_) == 3

    def test_weights_of_zero_hide_labels(self, kind):
        weight = np.where(LABELS == "c", 0.0, 1.0)
        model = classifier().partial_fit(kind(X), LABELS, classes=["a", "b"], sample_weight=weight)
        assert model.classes_.tolist() == ["a", "b"]


@on_both
@pytest.mark.parametrize("first", [np.asarray, as_dask])
@pytest.mark.parametrize("then", [np.asarray, as_dask])
def test_features_must_match(new, first, then):
    model = more(new(), first(X), target(new()))
    before = bits(model)
    with pytest.raises(ValueError, match=r"X has 3 features, but MLP\w+ is expecting 4 features"):
        more(model, then(X[:, :3]), target(model))
    assert bits(model) == before and model.n_features_in_ == 4


@on_both
def test_names_of_features_must_match(new):
    model = more(new(), as_frame(X), target(new()))
    renamed = as_frame(X).rename(columns={"petal width": "petal height"})
    with pytest.raises(ValueError, match="petal height"):
        more(model, renamed, target(model))


@on_both
def test_early_stopping_is_refused(new):
    with pytest.raises(ValueError, match=r"early_stopping=True: partial_fit does not support"):
        more(new(early_stopping=True), X, target(new()))


@on_both
def test_a_call_that_fails_leaves_what_there_was(new):
    model = more(new(), as_dask(X), target(new()))
    before = bits(model)
    with pytest.raises(ValueError, match="X contains NaN in partition 3, column 1"):
        more(model, as_dask(with_nan()), target(model))
    assert bits(model) == before
    fresh = new()
    with pytest.raises(ValueError, match="X contains NaN"):
        more(fresh, with_nan(), target(model))
    assert not hasattr(fresh, "coefs_")
    assert bits(more(fresh, as_dask(X), target(model))) == before


def with_nan():
    other = X.copy()
    other[60, 1] = np.nan
    return other


@on_both
def test_fit_forgets_what_partial_fit_did(new):
    model = more(new(max_iter=2), as_dask(X), target(new()))
    again = model.fit(as_dask(X), target(model))
    assert bits(again) == bits(new(max_iter=2).fit(as_dask(X), target(model)))
    assert again.n_iter_ == 2 and again.t_ == 2 * N


# `warm_start`


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_without_warm_start_the_same_state_gives_the_same_bits(new, kind):
    model = new(max_iter=3).fit(kind(X), target(new()))
    first, curve = bits(model), model.loss_curve_
    model.fit(kind(X), target(model))
    assert bits(model) == first and model.loss_curve_ == curve
    assert bits(new(max_iter=3, random_state=4).fit(kind(X), target(model))) != first


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_warm_start_goes_on_from_the_weights(new, kind):
    model = new(max_iter=20, learning_rate_init=0.01, warm_start=True, sync_every="epoch")
    model.fit(kind(X), target(model))
    cold, first = model.loss_curve_, bits(model)
    model.fit(kind(X), target(model))
    assert model.loss_curve_[0] < cold[1] and model.loss_curve_[-1] < cold[-1]
    assert model.n_iter_ == len(model.loss_curve_) == 20 and model.t_ == 20 * N
    nowhere = model.set_params(learning_rate_init=1e-300, max_iter=1, solver="sgd", momentum=0.0)
    model.fit(kind(X), target(model))
    before = bits(model)
    assert bits(nowhere.fit(kind(X), target(model))) == before != first


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_warm_start_with_another_shape_raises(new, kind):
    model = new(max_iter=2, warm_start=True).fit(kind(X), target(new()))
    before = bits(model)
    shapes = r"\[\(4, 5\), \(5, \d\)\]"
    with pytest.raises(ValueError, match=r"X has 3 features, but MLP.* is expecting 4 features"):
        model.fit(kind(X[:, :3]), target(model))
    assert len(model.predict(X)) == N  # what was there can still be used
    model.set_params(hidden_layer_sizes=(5, 5))
    with pytest.raises(ValueError, match=rf"{shapes}; this data and hidden_layer_sizes=\(5, 5\)"):
        model.fit(kind(X), target(model))
    assert bits(model) == before


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
@pytest.mark.parametrize("other", ["a", "d"])
def test_a_warm_start_with_other_labels_raises(kind, other):
    model = classifier(max_iter=2, warm_start=True).fit(kind(X), LABELS)
    with pytest.raises(ValueError, match=r"had the classes \['a', 'b', 'c'\]; this data has"):
        model.fit(kind(X), np.where(LABELS == "c", other, LABELS))
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert set(model.predict(X)) <= {"a", "b", "c"}


def test_after_a_fit_that_failed_it_is_said_that_there_is_none():
    model = classifier(learning_rate_init=1e30)
    with pytest.raises(DivergenceError):
        model.fit(X * 1e200, LABELS)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_partial_fit_takes_the_learning_rate_of_the_moment():
    model = classifier(solver="sgd", momentum=0.0)
    model.partial_fit(X, LABELS, classes=["a", "b", "c"])
    before = bits(model)
    model.set_params(learning_rate_init=1e-300).partial_fit(X, LABELS)
    assert bits(model) == before


def test_rows_of_weight_zero_may_hold_anything_finite():
    huge, weight = X.copy(), np.ones(N)
    huge[5], weight[5] = 1e200, 0.0
    plain, odd = regressor(max_iter=3), regressor(max_iter=3)
    assert bits(plain.fit(X, NUMBERS, weight)) == bits(odd.fit(huge, NUMBERS, weight))
