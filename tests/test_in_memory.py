"""Where nothing names a cluster, data in memory is trained on by threads: the same bits."""

import threading

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from distributed import Client, LocalCluster

from daskml_exec import Executor
from daskml_exec.executor import _current
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.tiers import each_value

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning",
    "ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning",
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6))
MARGIN = X @ RNG.normal(size=6)
LABELS = np.array(["no", "perhaps", "yes"])[np.digitize(MARGIN, [-1.0, 1.0])]
COUNTS = RNG.poisson(np.exp(np.clip(MARGIN, -2, 2)))
WEIGHT = RNG.exponential(size=400)
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
MODELS = {
    "logistic": (LogisticRegression(), LABELS),
    "lbfgs": (LogisticRegression(solver="lbfgs"), LABELS),
    "averaging": (LogisticRegression(solver="averaging"), LABELS),
    "balanced": (LogisticRegression(class_weight="balanced"), LABELS),
    "ridge": (Ridge(), MARGIN),
    "far": (LinearRegression(), MARGIN + 1e7),
    "poisson": (PoissonRegressor(), COUNTS),
    "network": (MLPClassifier(**SMALL), LABELS),
    "regressor": (MLPRegressor(**SMALL), MARGIN),
    "early": (MLPClassifier(early_stopping=True, **SMALL), LABELS),
    "codec": (MLPRegressor(compression="topk:0.2", sync_every=1, **SMALL), MARGIN),
}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    def refuse():
        raise AssertionError("a cluster was opened for data in memory")

    monkeypatch.setattr(_current, "in_process_client", refuse)
    assert not _current.cluster_is_meant()


PIECES = {"whole": 1, "five pieces": 5}


@pytest.fixture(params=PIECES)
def pieces(request):
    with in_pieces(PIECES[request.param]):
        yield PIECES[request.param]


def in_pieces(number):
    return dask.config.set({"daskml-exec.partition-bytes": X.nbytes // number})


def bits(model):
    coefs = model.coefs_ if hasattr(model, "coefs_") else [model.coef_]
    return b"".join(np.ascontiguousarray(coef).tobytes() for coef in coefs)


@each_value(name=MODELS, cut=PIECES)
def test_the_bits_of_a_cluster(name, cut):
    model, y = MODELS[name]
    weight = WEIGHT if PIECES[cut] > 1 else None
    with in_pieces(PIECES[cut]):
        alone = bits(model.fit(X, y, weight))
        here = model.history_
        assert here.n_partitions == PIECES[cut]
        score = model.score(X, y)
        with Executor(processes=False, n_workers=2):
            assert bits(model.fit(X, y, weight)) == alone
            assert model.score(X, y) == score
    steps = [(r.step, r.loss, r.bytes_out, r.bytes_back) for r in here]
    assert steps == [(r.step, r.loss, r.bytes_out, r.bytes_back) for r in model.history_]


@pytest.mark.parametrize("kind", [np.asfortranarray, sp.csr_matrix, pd.DataFrame, np.float32])
def test_kinds_of_data(kind, pieces):
    model = LogisticRegression()
    alone = bits(model.fit(kind(X), LABELS))
    with Executor(processes=False, n_workers=2):
        assert bits(model.fit(kind(X), LABELS)) == alone


def test_partial_fit(pieces):
    alone, there = (MLPClassifier((5,), random_state=0) for _ in range(2))
    for _ in range(2):
        alone.partial_fit(X, LABELS, classes=np.unique(LABELS))
        with Executor(processes=False, n_workers=2):
            there.partial_fit(X, LABELS, classes=np.unique(LABELS))
        assert bits(alone) == bits(there)


def test_what_is_wrong_is_named_as_on_a_cluster(pieces):
    bad = pd.DataFrame(X.copy(), columns=list("abcdef"))
    bad.iloc[399, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN in partition \d, column 2 \('c'\)") as alone:
        LogisticRegression().fit(bad, LABELS)
    with (
        Executor(processes=False, n_workers=2),
        pytest.raises(ValueError, match="NaN") as there,
    ):
        LogisticRegression().fit(bad, LABELS)
    assert str(alone.value) == str(there.value)


def test_an_error_in_a_callback_ends_the_threads(pieces):
    def stop(event):
        if event.record.round == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LogisticRegression(solver="lbfgs", callbacks=[stop]).fit(X, LABELS)
    for thread in threading.enumerate():
        if thread.name.startswith("daskml-exec_"):
            thread.join(10)
            assert not thread.is_alive()


@pytest.mark.parametrize("name", ["logistic", "ridge", "network"])
def test_callbacks_see_each_round_and_stop(name, pieces):
    model, y = MODELS[name]
    events = []

    def stop(event):
        events.append(event.estimator)
        return event.record.round == 1

    model = type(model)(**{**model.get_params(), "callbacks": [stop]}).fit(X, y)
    assert len(model.history_) == len(events) == 2
    assert bits(events[-1]) == bits(model)


def test_a_client_an_executor_and_a_collection_are_meant(monkeypatch):
    monkeypatch.undo()
    model = Ridge()
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert _current.cluster_is_meant()
        model.fit(X, MARGIN)
        assert client.status == "running"
    assert not _current.cluster_is_meant()
    with Executor(processes=False, n_workers=1):
        assert _current.cluster_is_meant()
    expected = bits(Ridge().fit(X, MARGIN))
    assert bits(Ridge().fit(da.from_array(X, chunks=-1), MARGIN)) == expected


def test_rows_of_one_thread(monkeypatch, pieces):
    """As many threads as there are change nothing."""
    from daskml_exec.executor import _driver_threads

    expected = bits(LogisticRegression().fit(X, LABELS))
    for n in (1, 3):
        monkeypatch.setattr(_driver_threads, "threads_of_this_process", lambda n=n: n)
        model = LogisticRegression().fit(X, LABELS)
        assert bits(model) == expected
        assert model.history_[0].workers == min(n, pieces)
