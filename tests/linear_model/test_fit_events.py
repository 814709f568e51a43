"""What a fit tells while it goes on and when it ends: events, history, warnings."""

import gc
import pickle
import re
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.linear_model import LogisticRegression
from daskml_exec.training import RoundEvent
from tests.linear_model.toolbox import as_csr, as_dask, as_frame

SOLVERS = ["newton", "lbfgs", "averaging"]


@pytest.mark.parametrize(
    ("solver", "weighted", "value"),
    [("newton", False, np.nan), ("newton", True, np.inf), ("averaging", True, np.nan)],
)
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_csr, as_frame])
def test_what_is_not_finite_is_named_before_training(species, solver, value, kind, weighted):
    X, y, weight = species
    X = X.copy()
    X[60, 2] = value
    what = "NaN" if np.isnan(value) else "infinity"
    name = r" \('petal length'\)" if kind is as_frame else ""
    events = []
    model = LogisticRegression(solver=solver, callbacks=[events.append])
    weight = np.where(np.arange(len(X)) == 60, 0.0, weight) if weighted else None
    message = rf"X contains {what} in partition \d, column 2{name} \(row \d+ of the partition\)"
    with pytest.raises(ValueError, match=message):
        model.fit(kind(X), y, weight)
    assert events == [] and not hasattr(model, "coef_")


def test_values_that_are_too_large_say_so(species):
    X, y, _ = species
    with pytest.raises(ValueError, match="squares overflow float64; rescale"):
        LogisticRegression().fit(X * 1e200, y)


@pytest.mark.parametrize(
    ("solver", "kind"),
    [("newton", np.asarray), ("newton", as_dask), ("lbfgs", as_dask), ("averaging", as_dask)],
)
def test_not_converging_warns_with_the_gradient_norm(species, solver, kind):
    X, y, _ = species
    model = LogisticRegression(solver=solver, max_iter=2, tol=1e-14)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(kind(X), y)
    norm = model.history_[-1].gradient_norm
    message = str(caught[0].message)
    assert f"solver={solver!r}" in message and "max_iter=2" in message
    assert f"the gradient norm is {norm:.2e}, above tol=1.00e-14" in message
    assert caught[0].filename == __file__
    assert model.n_iter_ == [2]


def test_a_tolerance_below_rounding_warns_that_rounding_stopped_it(species):
    X, y, _ = species
    with pytest.warns(ConvergenceWarning, match="rounding stopped progress|max_iter"):
        LogisticRegression(tol=0.0, max_iter=300).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_goes_on(species, solver):
    X, y, _ = species
    model = LogisticRegression(solver=solver, warm_start=True).fit(as_dask(X), y)
    coef, cold = model.coef_, len(model.history_)
    model.set_params(tol=1e-8).fit(as_dask(X), y)
    assert len(model.history_) <= (cold if solver == "averaging" else 2)
    assert_allclose(model.coef_, coef, rtol=1e-5, atol=1e-7)
    model.set_params(warm_start=False).fit(as_dask(X), y)
    assert len(model.history_) > 2


def test_warm_start_with_another_shape_raises(iris):
    X, y, _ = iris
    model = LogisticRegression(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"coef_ of the last fit has shape \(\d, 4\); this data"):
        model.fit(X[:, :3], y)


@pytest.mark.parametrize(
    ("solver", "kind"),
    [("newton", np.asarray), ("newton", as_frame), ("lbfgs", as_dask), ("averaging", as_dask)],
)
def test_events_bring_an_estimator_that_scores(species, solver, kind):
    X, y, _ = species
    seen = []

    def watch(event):
        assert isinstance(event, RoundEvent)
        seen.append(
            (event.record, event.estimator.score(X if kind is not as_frame else kind(X), y))
        )

    model = LogisticRegression(solver=solver, callbacks=[watch]).fit(kind(X), y)
    assert tuple(record for record, _ in seen) == model.history_.records
    assert seen[-1][1] == model.score(kind(X), y) > 0.9
    losses = [record.loss for record, _ in seen if record.loss is not None]
    assert losses[-1] == pytest.approx(min(losses), rel=1e-9)


def test_the_estimator_of_an_event_is_not_the_one_in_training(species):
    X, y, _ = species
    events = []
    model = LogisticRegression(callbacks=[events.append]).fit(X, y)
    last = events[-1].estimator
    assert last is not model and np.array_equal(last.coef_, model.coef_)
    assert not np.array_equal(events[1].estimator.coef_, model.coef_)
    assert not events[0].estimator.coef_.any()


def test_a_callback_stops_the_fit_without_a_warning(species):
    X, y, _ = species
    model = LogisticRegression(callbacks=[lambda event: event.record.round == 4])
    model.fit(as_dask(X), y)
    assert len(model.history_) == 5
    assert model.predict(X).shape == y.shape


def keys_left(executor):
    """Wait for the scheduler to forget what nobody holds, and return what is left."""
    gc.collect()
    deadline = time.monotonic() + 5
    left = None
    while left != [] and time.monotonic() < deadline:
        left = executor.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return left


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_interrupting_a_fit_leaves_nothing_on_the_cluster(species, executor, kind):
    X, y, _ = species

    def interrupt(event):
        if event.record.round == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as kept:  # as a notebook keeps the last traceback
        LogisticRegression(callbacks=[interrupt]).fit(kind(X), y)
    assert keys_left(executor) == []
    assert kept.traceback


def test_kept_events_keep_nothing_on_the_cluster_and_pickle(species, executor):
    X, y, _ = species
    events = []
    model = LogisticRegression(callbacks=[events.append]).fit(as_dask(X), y)
    assert keys_left(executor) == []
    thawed = pickle.loads(pickle.dumps(model))
    assert np.array_equal(thawed.coef_, model.coef_)
    again = pickle.loads(pickle.dumps(events[-1]))
    assert np.array_equal(again.estimator.coef_, model.coef_)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_verbose_prints_a_line_per_round(species, capsys, solver):
    X, y, _ = species
    model = LogisticRegression(solver=solver, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    looking, opening, *lines = lines
    assert looking.startswith("LogisticRegression: looking at the data")
    assert re.match(rf"LogisticRegression: {len(X)} rows x \d+ columns in 1 partition,", opening)
    assert len(lines) == len(model.history_)
    so_far = rf"iteration +\d+ of {model.max_iter}"
    assert re.fullmatch(rf"round +0  {so_far}  moments +[\d.]+ ms", lines[0])
    assert re.search(r"about [\d.]+ s left$", lines[3])
    step = {"newton": "hessian ", "lbfgs": "gradient"}[solver]
    assert re.fullmatch(
        rf"round +1  {so_far}  {step}  loss [\d.]+  gradient \d\.\d\de[+-]\d\d  [\d.]+ ms", lines[1]
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_history_counts_what_moved(iris, solver):
    X, y, _ = iris
    model = LogisticRegression(solver=solver).fit(as_dask(X), y)
    K, d = model.coef_.shape
    p, number = K * (d + 1), 4 * 8  # float64 to or from each of four partitions
    moments, *others = model.history_
    assert moments.step == "moments"
    # It says how large a sample is wanted: none of so few rows. Weight, means and spreads of the
    # columns come back, and those of the target.
    assert moments.bytes_out == number
    loss = number * (K > 1)  # the number of classes
    assert moments.bytes_back == number * (1 + 2 * d + 3)
    for record in others:
        assert record.loss is None or record.gradient_norm is not None
        if record.step == "gradient":
            assert record.bytes_out == number * p + loss
            assert record.bytes_back == number * (2 + p)
        elif record.step == "hessian":
            # Parameters, the point and the coordinates, and two numbers of the request.
            assert record.bytes_out == number * (2 * p + 3 * d + 3 + 2) + loss
            assert record.bytes_back == number * (2 + p + 1 + p * p)
        else:
            assert record.step == "solve" and record.loss is None
    steps = {"newton": {"hessian"}, "lbfgs": {"gradient"}, "averaging": {"gradient", "solve"}}
    assert {record.step for record in others} == steps[solver]
    assert others[-1].gradient_norm <= model.tol


def test_auto_is_newton(species):
    X, y, _ = species
    auto, newton = (LogisticRegression(solver=s).fit(as_dask(X), y) for s in ("auto", "newton"))
    assert np.array_equal(auto.coef_, newton.coef_)
    assert auto.history_[1].step == "hessian"


@pytest.mark.parametrize("y", [None, "missing"])
def test_y_is_required(species, y):
    with pytest.raises((ValueError, TypeError), match="y"):
        LogisticRegression().fit(as_dask(species[0]), *([] if y else [None]))
