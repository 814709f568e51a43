"""The same data and chunks give the same bits on any number of workers, with killed ones too."""

import dask
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.utils import check_random_state

from daskml_exec import Executor
from daskml_exec.executor import tuned
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.failures.test_lost_workers import kill, lazy_data
from tests.neural_network.without_dask import cut, plain
from tests.tiers import each_pair, slow

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)

N = 500
CHUNKS = [40, 60, 0, 100, 30, 150, 110, 10]
RNG = np.random.default_rng(1)
X = np.where(RNG.random((N, 5)) < 0.3, 0.0, RNG.standard_normal((N, 5)))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0, 0.3] + 0.1 * RNG.standard_normal(N)
CODES = np.digitize(NUMBERS, [-1.0, 1.0])
WEIGHT = RNG.exponential(size=N)
COMPRESSIONS = [None, "fp16", "topk:0.1"]
SHARED = {"hidden_layer_sizes": (7,), "sync_every": 2, "max_iter": 3, "random_state": 4}
CASES = [
    *(MLPClassifier(**SHARED, compression=codec) for codec in COMPRESSIONS),
    *(MLPClassifier(**SHARED, compression=codec, early_stopping=True) for codec in COMPRESSIONS),
    *(MLPRegressor(**SHARED, compression=codec, outer="average") for codec in COMPRESSIONS),
    MLPRegressor(**SHARED, solver="sgd", learning_rate="adaptive", early_stopping=True),
    MLPClassifier(**SHARED, shuffle="partitions", compression="topk:0.1"),
    MLPRegressor(**SHARED, shuffle=False, compression="fp16"),
]


def target(model):
    return CODES if isinstance(model, MLPClassifier) else NUMBERS


def bits(model):
    steps = tuple(record.step for record in model.history_)
    kept = [piece for piece in model._remembered if piece is not None]
    pieces = (*model.coefs_, *model.intercepts_, *kept)
    scores = () if model.validation_scores_ is None else tuple(model.validation_scores_)
    return b"".join(p.tobytes() for p in pieces), tuple(model.loss_curve_), scores, steps


@pytest.fixture(autouse=True)
def short_chains():
    """So that fits of few rounds have rounds of all kinds: first, carrying, exact."""
    with tuned(exact_every=4):
        yield


@pytest.mark.parametrize(
    "clusters",
    [[(1, 0), (4, 3)], pytest.param([(1, 0), (2, 1)], marks=pytest.mark.slow)],
    ids=["one and four", "one and two"],
)
def test_any_number_of_workers_and_any_placement(clusters):
    """All cases on each cluster in turn, because starting one takes longer than a fit."""
    found = {i: set() for i in range(len(CASES))}
    placements = set()
    for n_workers, shift in clusters:
        with Executor(processes=False, n_workers=n_workers) as executor:
            workers = list(executor.check_workers())
            for i, model in enumerate(CASES):
                kind = sp.csr_array if i % 4 == 1 else np.asarray
                rows = [kind(X[b - n : b]) for n, b in zip(CHUNKS, np.cumsum(CHUNKS), strict=True)]
                futures = [
                    executor.client.scatter(
                        piece, workers=[workers[j * (1 + shift) % n_workers]], hash=False
                    )
                    for j, piece in enumerate(rows)
                ]
                model.fit(futures, target(model), WEIGHT)
                assert model.history_.n_partitions == len(CHUNKS) and len(model.history_) >= 6
                found[i].add(bits(model))
                placements.add(max(record.workers for record in model.history_))
    assert placements == {n_workers for n_workers, _ in clusters}
    assert {i: len(each) for i, each in found.items()} == dict.fromkeys(found, 1)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("model", CASES[2:9:3] + CASES[9:])
def test_once_more_and_watched(model):
    """Nothing of an earlier fit is in the result, nor does watching change it."""
    with dask.config.set({"daskml-exec.partition-bytes": X.nbytes // 5}):
        first = bits(model.fit(X, target(model), WEIGHT))
        assert model.history_.n_partitions == 5
        assert bits(model.fit(X, target(model), WEIGHT)) == first
        watched = type(model)(**model.get_params() | {"callbacks": [lambda event: None]})
        assert bits(watched.fit(X, target(model), WEIGHT)) == first


@pytest.mark.usefixtures("executor")
@each_pair(compression=COMPRESSIONS, watched=[False, True], n_classes=[2, 3, None])
def test_one_partition_is_the_fit_without_dask(n_classes, watched, compression):
    """Nothing travels, so that neither codec nor outer rule matters."""
    outer = "average" if n_classes == 2 else "nesterov"
    y = NUMBERS if n_classes is None else np.minimum(CODES, n_classes - 1)
    fit = plain(
        cut(X, y, WEIGHT, bounds=[0, N]),
        hidden=(7,),
        n_classes=n_classes,
        seed=check_random_state(4).randint(np.iinfo(np.int32).max),
    )
    state = fit.run()
    callbacks = [lambda event: None] if watched else None
    kind = MLPRegressor if n_classes is None else MLPClassifier
    model = kind(**SHARED, compression=compression, outer=outer, callbacks=callbacks)
    model.fit(X, y, WEIGHT)
    assert model.history_.n_partitions == 1
    pieces = (*model.coefs_, *model.intercepts_)
    assert b"".join(p.tobytes() for p in pieces) == state.model.parameters.tobytes()
    assert tuple(model.loss_curve_) == state.progress.loss_curve
    assert [record.round for record in model.history_] == [0, 1, 2]  # a round is an epoch


# Worker processes that end by SIGKILL, under a Nanny.

KILLED = {"sync_every": 2, "max_iter": 2, "hidden_layer_sizes": (5,), "random_state": 0}


@pytest.fixture(scope="module")
def processes():
    with Executor(n_workers=2) as executor:
        yield executor


def undisturbed(**arguments):
    with Executor(processes=False, n_workers=1):
        return bits(MLPClassifier(**KILLED, **arguments).fit(*lazy_data()))


def assert_same_bits_when_killed(executor, moment, **arguments):
    def kill_after_round(event):
        if event.record.round == moment:
            kill(executor, executor.workers()[0].address)

    expected = undisturbed(**arguments)
    executor.client.wait_for_workers(2)  # the one that was killed before has come back
    with executor:
        model = MLPClassifier(**KILLED, **arguments, callbacks=[kill_after_round])
        model.fit(*lazy_data())
    assert bits(model) == expected
    assert model.history_.workers_lost == 1
    assert model.history_.tasks_recomputed >= 1
    assert sum(record.workers_lost for record in model.history_[moment + 1 :]) == 1
    assert len(model.history_) >= moment + 3


@pytest.mark.parametrize("compression", [slow(None), "topk:0.1"])
def test_a_worker_killed_between_two_rounds(processes, compression):
    """In the middle of a chain, where the residuals and moments on the Worker are lost with it."""
    assert_same_bits_when_killed(processes, 2, compression=compression)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, 1, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_worker_killed_at_any_moment(processes, compression, moment, early_stopping):
    assert_same_bits_when_killed(
        processes, moment, compression=compression, early_stopping=early_stopping
    )
