"""What a fit tells while it goes on and when it ends: events, history, warnings, divergence."""

import gc
import pickle
import re
import time

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import daskml_exec.neural_network
from daskml_exec.neural_network import DivergenceError, MLPClassifier, MLPRegressor
from daskml_exec.training import RoundEvent
from tests.linear_model.toolbox import as_csr, as_dask, as_frame

pytestmark = pytest.mark.usefixtures("executor")
ignore_convergence = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)

N = 300
RNG = np.random.default_rng(9)
X = RNG.standard_normal((N, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(N)
LABELS = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-1.0, 1.0])]
TARGETS = {MLPClassifier: LABELS, MLPRegressor: NUMBERS}
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 3, "sync_every": 1}
on_both = pytest.mark.parametrize("kind", TARGETS)


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


def keys_left(executor):
    """Wait for the scheduler to forget what nobody holds, and return what is left."""
    gc.collect()
    deadline = time.monotonic() + 5
    left = None
    while left != [] and time.monotonic() < deadline:
        left = executor.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    return left


@on_both
@ignore_convergence
@pytest.mark.parametrize(
    ("given", "early_stopping", "compression"),
    [
        (np.asarray, False, None),
        (as_dask, True, "topk:0.2"),
        (as_frame, True, None),
        pytest.param(as_dask, False, None, marks=pytest.mark.slow),
        pytest.param(as_frame, False, None, marks=pytest.mark.slow),
        pytest.param(np.asarray, True, None, marks=pytest.mark.slow),
        pytest.param(as_dask, True, None, marks=pytest.mark.slow),
        pytest.param(np.asarray, True, "topk:0.2", marks=pytest.mark.slow),
        pytest.param(as_frame, True, "topk:0.2", marks=pytest.mark.slow),
    ],
)
def test_an_event_per_round_with_an_estimator_that_predicts(
    kind, given, early_stopping, compression
):
    rows, y, seen = given(X), TARGETS[kind], []

    def watch(event):
        assert isinstance(event, RoundEvent)
        assert not hasattr(event.estimator, "history_") and event.estimator is not model
        seen.append((event.record, event.estimator))

    model = kind(
        **SMALL,
        early_stopping=early_stopping,
        compression=compression,
        learning_rate_init=0.02,
        callbacks=[watch],
    )
    model.fit(rows, y)
    assert tuple(record for record, _ in seen) == model.history_.records
    assert [record.round for record, _ in seen] == list(range(len(seen)))
    steps = [record.step for record, _ in seen]
    assert set(steps) == ({"train", "score"} if early_stopping else {"train"})
    assert steps.count("score") == (model.n_iter_ if early_stopping else 0)
    for record, estimator in seen:
        assert (record.loss is None) == (record.step == "score") == (record.score is not None)
        assert record.gradient_norm is None
        assert record.bytes_out > 0 and record.bytes_back > 0 and record.seconds > 0
        prediction = estimator.predict(rows if given is as_frame else X)
        assert len(prediction) == N
    assert len({bits(estimator) for record, estimator in seen if record.step == "train"}) == (
        steps.count("train")
    )
    if early_stopping:
        scores = [record.score for record, _ in seen if record.step == "score"]
        assert scores == model.validation_scores_
    else:
        assert bits(seen[-1][1]) == bits(model)


@on_both
@ignore_convergence
@pytest.mark.parametrize("given", [np.asarray, as_dask])
def test_losses_of_rounds_make_up_those_of_epochs(kind, given):
    model = kind(**SMALL).fit(given(X), TARGETS[kind])
    losses = [record.loss for record in model.history_]
    if given is np.asarray:
        assert losses == model.loss_curve_
    else:
        per_epoch = len(losses) // 3
        assert min(losses[:per_epoch]) <= model.loss_curve_[0] <= max(losses[:per_epoch])


@on_both
@ignore_convergence
def test_bytes_are_those_of_the_model_and_its_moments(kind):
    model = kind(**SMALL).fit(as_dask(X), TARGETS[kind])
    size = sum(piece.size for piece in (*model.coefs_, *model.intercepts_))
    whole = 4 * 3 * 8 * size  # parameters and two moments, to four partitions, in float64
    for record in model.history_[1:]:
        # Beside the model travel the steps to take, and what the network is: some 250 bytes.
        assert whole < record.bytes_out < whole + 4 * 300
        assert whole < record.bytes_back < whole + 4 * 100


@ignore_convergence
@pytest.mark.parametrize(("compression", "share"), [("fp16", 0.15), ("topk:0.01", 0.02)])
def test_a_codec_moves_less_in_most_rounds(compression, share):
    given = SMALL | {"hidden_layer_sizes": (400,), "max_iter": 2}
    model = MLPRegressor(**given, compression=compression).fit(as_dask(X), NUMBERS)
    plain = MLPRegressor(**given).fit(as_dask(X), NUMBERS)
    for ours, theirs in list(zip(model.history_, plain.history_, strict=True))[1:-1]:
        assert ours.bytes_out + ours.bytes_back < 1.3 * share * (
            theirs.bytes_out + theirs.bytes_back
        )


@on_both
@pytest.mark.parametrize("given", [np.asarray, as_dask])
def test_a_callback_that_returns_true_stops_the_fit_without_a_warning(kind, given):
    heard = []
    stop = lambda event: event.record.round == 1  # noqa: E731
    model = kind(**SMALL, callbacks=[stop, heard.append]).fit(given(X), TARGETS[kind])
    assert len(model.history_) == len(heard) == 2
    assert model.predict(X).shape == (N,) and np.isfinite(model.coefs_[0]).all()
    never = kind(**SMALL | {"max_iter": 1}, callbacks=[lambda event: 1, lambda event: "stop"])
    with pytest.warns(ConvergenceWarning):
        never.fit(given(X), TARGETS[kind])
    assert never.n_iter_ == 1


@on_both
def test_a_fit_that_is_stopped_before_an_epoch_ends(kind):
    model = kind(**SMALL, callbacks=[lambda event: True]).fit(as_dask(X), TARGETS[kind])
    assert model.n_iter_ == 0 and model.loss_curve_ == []
    assert model.loss_ == model.history_[0].loss  # of the steps that there were
    model.set_params(callbacks=None, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        model.fit(as_dask(X), TARGETS[kind])


@on_both
@pytest.mark.parametrize("given", [np.asarray, as_dask])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_reaching_max_iter_warns(kind, given, early_stopping):
    model = kind(**SMALL, early_stopping=early_stopping)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(given(X), TARGETS[kind])
    message = str(caught[0].message)
    what = "score" if early_stopping else "loss"
    start = f"{kind.__name__} stopped after max_iter=3 epochs, before the {what} had stopped"
    assert message.startswith(start)
    assert "tol=0.0001" in message and "Raise max_iter" in message
    assert caught[0].filename == __file__
    assert model.n_iter_ == 3


@on_both
def test_a_loss_that_does_not_improve_ends_the_fit(kind):
    model = kind(**SMALL | {"max_iter": 50}, tol=100.0, n_iter_no_change=2)
    model.fit(as_dask(X), TARGETS[kind])  # warnings are errors
    assert model.n_iter_ == 4 and model.best_loss_ == min(model.loss_curve_)


@on_both
@ignore_convergence
def test_verbose_prints_a_line_per_round(kind, capsys):
    for given in (np.asarray, as_dask):
        model = kind(**SMALL, verbose=True, early_stopping=True).fit(given(X), TARGETS[kind])
        lines = capsys.readouterr().out.splitlines()
        looking, opening, *rounds = [line for line in lines if "compiling" not in line]
        assert looking.startswith(f"{kind.__name__}: looking at the data")
        epochs = SMALL["max_iter"]
        assert re.match(rf"{kind.__name__}: layers .* at most {epochs} epochs of \d+ ", opening)
        assert len(rounds) == len(model.history_)
        left = r"  at most [\d.]+ s left"
        first = rf"round +0  epoch [\d.]+ of {epochs}  train +loss \d+\.\d{{8}}  [\d.]+ ms{left}"
        assert re.fullmatch(first, rounds[0])
        last = rf"epoch {epochs}\.00 of {epochs}  score +score -?\d+\.\d{{4}}  [\d.]+ ms"
        assert re.fullmatch(rf"round +{len(rounds) - 1}  {last}", rounds[-1])
        kind(**SMALL).fit(given(X), TARGETS[kind])
        assert capsys.readouterr().out == ""


@on_both
@ignore_convergence
def test_what_is_kept_pickles_and_holds_nothing_on_the_cluster(kind, executor):
    events = []
    model = kind(**SMALL, compression="topk:0.2", callbacks=[events.append])
    model.fit(as_dask(X), TARGETS[kind])
    assert keys_left(executor) == []
    history = pickle.loads(pickle.dumps(model.history_))
    assert history.records == model.history_.records and history.n_partitions == 4
    model.set_params(callbacks=None)
    assert bits(pickle.loads(pickle.dumps(model))) == bits(model)
    assert bits(pickle.loads(pickle.dumps(events[-1].estimator.set_params(callbacks=None))))


@pytest.mark.parametrize(
    ("kind", "given", "shuffle", "compression"),
    [
        (MLPClassifier, np.asarray, True, None),
        (MLPClassifier, as_csr, "partitions", "topk:0.2"),
        (MLPRegressor, as_dask, "partitions", None),
    ],
)
def test_interrupting_a_fit_leaves_nothing_on_the_cluster(
    kind, given, executor, shuffle, compression
):
    def interrupt(event):
        if event.record.round == 2:
            raise KeyboardInterrupt

    model = kind(**SMALL, callbacks=[interrupt], shuffle=shuffle, compression=compression)
    with pytest.raises(KeyboardInterrupt) as kept:  # as a notebook keeps the last traceback
        model.fit(given(X), TARGETS[kind])
    assert keys_left(executor) == []
    assert kept.traceback


# What is not finite: found before training, or come to by it.


@on_both
@pytest.mark.parametrize(
    ("given", "value"),
    [
        (np.asarray, np.nan),
        pytest.param(as_dask, -np.inf, marks=pytest.mark.slow),
        pytest.param(as_csr, np.nan, marks=pytest.mark.slow),
        pytest.param(as_frame, np.inf, marks=pytest.mark.slow),
    ],
)
def test_what_is_not_finite_is_named_before_training(kind, given, value, executor):
    rows = X.copy()
    rows[60, 2] = value
    weight = np.where(np.arange(N) == 60, 0.0, 1.0)
    events = []
    model = kind(**SMALL, callbacks=[events.append])
    what = "NaN" if np.isnan(value) else "infinity"
    name = r" \('petal length'\)" if given is as_frame else ""
    partition = {np.asarray: 0, as_frame: 0}.get(given, 3)
    row = 7 if partition else 60
    message = rf"X contains {what} in partition {partition}, column 2{name} \(row {row} of the"
    with pytest.raises(ValueError, match=message) as kept:
        model.fit(given(rows), TARGETS[kind], weight)
    assert events == [] and not hasattr(model, "coefs_")
    assert keys_left(executor) == [] and kept.traceback


def test_it_is_a_public_error():
    assert "DivergenceError" in daskml_exec.neural_network.__all__
    assert issubclass(DivergenceError, ValueError)


def diverging(**arguments):
    given = {"solver": "sgd", "learning_rate_init": 1e6, "max_iter": 50, "sync_every": "epoch"}
    return MLPRegressor(**SMALL | given | arguments)


@pytest.mark.parametrize(
    ("given", "compression", "dtype"),
    [
        (np.asarray, None, np.float32),
        (as_dask, "fp16", np.float64),
        (as_csr, "topk:0.2", np.float32),
        *(
            pytest.param(given, *codec, marks=pytest.mark.slow)
            for given, *codec in [
                (np.asarray, "fp16", np.float64),
                (np.asarray, "topk:0.2", np.float32),
                (as_dask, None, np.float32),
                (as_dask, "topk:0.2", np.float32),
                (as_csr, None, np.float32),
                (as_csr, "fp16", np.float64),
            ]
        ),
    ],
)
def test_a_fit_that_diverges_says_where(executor, given, compression, dtype):
    """No warning of NumPy's comes with it: warnings are errors here."""
    model = diverging(compression=compression)
    with pytest.raises(DivergenceError) as caught:
        model.fit(given(X.astype(dtype)), 1e3 * NUMBERS)
    error = caught.value
    assert error.round >= 0 and error.partition in (range(1) if given is np.asarray else range(4))
    assert error.learning_rate >= 1e6  # larger where batches are
    assert [coef.shape for coef in error.coefs] == [(4, 6), (6, 1)]
    assert [intercept.shape for intercept in error.intercepts] == [(6,), (1,)]
    for piece in (*error.coefs, *error.intercepts):
        assert np.isfinite(piece).all() and piece.dtype == dtype
    message = str(error)
    assert f"in round {error.round}, partition {error.partition}" in message
    assert "learning_rate_init" in message and f"{error.learning_rate:g}" in message
    assert not hasattr(model, "coefs_")
    assert keys_left(executor) == []  # with the error, and its traceback, at hand
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == message and np.array_equal(again.coefs[0], error.coefs[0])


@ignore_convergence
@pytest.mark.parametrize("given", [np.asarray, as_dask])
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_a_model_that_is_there_stays_as_it_is(given, how):
    model = diverging(learning_rate_init=1e-3, warm_start=how == "warm_start", max_iter=3)
    model.fit(given(X), NUMBERS)
    before, predicted, curve = bits(model), model.predict(X), list(model.loss_curve_)
    model.set_params(learning_rate_init=1e150, max_iter=50)
    with pytest.raises(DivergenceError):
        for _ in range(50):
            if how == "partial_fit":
                model._progress = model._progress.__class__(1e150)  # it remembers the rate
                model.partial_fit(given(X), NUMBERS)
                before, predicted, curve = bits(model), model.predict(X), list(model.loss_curve_)
            else:
                model.fit(given(X), NUMBERS)
    assert bits(model) == before and np.array_equal(model.predict(X), predicted)
    assert np.isfinite(predicted).all() and model.loss_curve_ == curve


@ignore_convergence
def test_a_classifier_may_be_far_off_without_diverging():
    model = MLPClassifier(**SMALL, solver="sgd", learning_rate_init=1e3).fit(as_dask(X), LABELS)
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.loss_curve_).all()


@ignore_convergence
def test_rounds_before_a_divergence_are_told():
    heard = []
    model = diverging(callbacks=[heard.append], learning_rate_init=30.0)
    with pytest.raises(DivergenceError) as caught:
        model.fit(as_dask(X), 10.0 * NUMBERS)
    assert len(heard) == caught.value.round
    if heard:
        assert np.array_equal(heard[-1].estimator.coefs_[0], caught.value.coefs[0])


@ignore_convergence
def test_a_fit_in_one_task_and_a_watched_one_diverge_alike():
    found = []
    for callbacks in (None, [lambda event: None]):
        with pytest.raises(DivergenceError) as caught:
            diverging(callbacks=callbacks, learning_rate_init=5.0).fit(X, 10.0 * NUMBERS)
        found.append((str(caught.value), caught.value.coefs[0].tobytes()))
    assert found[0] == found[1]
