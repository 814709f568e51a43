"""``parallel="auto"`` chooses, and ``explain`` says what each strategy costs, and why."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.neural_network.planning import _strategies, calibrated

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)
LARGE = (400, 400)  # with 64 features and Adam's moments more than two megabytes
FEATURES = 64
EACH = ("data", "model", "hybrid")


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(240, FEATURES)).astype(np.float32)
    return da.from_array(X, chunks=(60, FEATURES)), draw.integers(0, 3, 240)


def network(parallel="auto", hidden=LARGE, *, of=MLPClassifier, **arguments):
    arguments = {"max_iter": 2, "batch_size": 60, "random_state": 0} | arguments
    return of(hidden, parallel=parallel, **arguments)


def test_small_models_are_not_worth_a_calibration(rows):
    with Executor(processes=False, n_workers=2) as executor:
        model = network(hidden=(16,)).fit(*rows)
        assert calibrated(executor) is None
        strategies = model.explain().strategies
        assert strategies.chosen.parallel == "data" and not strategies.calibrated
        assert "the model is small" in strategies.reason
        assert "seconds are predicted where the cluster has been measured" in str(model.explain())


@pytest.mark.usefixtures("executor")
def test_the_fastest_is_followed(rows):
    model = network().fit(*rows)
    strategies = model.explain().strategies
    seconds = {each.parallel: each.seconds_per_epoch for each in strategies.estimates}
    assert set(seconds) == set(EACH) and strategies.calibrated
    chosen = strategies.chosen.parallel
    assert chosen == min(seconds, key=seconds.get)
    named = network(chosen).fit(*rows)
    for one, other in zip(model.coefs_, named.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("parallel", EACH)
def test_bytes_and_steps_are_as_predicted(rows, parallel):
    model = network(parallel).fit(*rows)
    chosen = model.explain().strategies.chosen
    assert chosen.parallel == parallel
    # Rounds count a few scalars, too.
    assert model.history_.bytes / 2 == pytest.approx(chosen.bytes_per_epoch, rel=0.01)
    if parallel == "data":  # of others a first segment is short, to see how long a step takes
        assert len(model.history_) == 2 * chosen.rounds_per_epoch
    text = str(model.explain())
    assert f"* {parallel}" in text and f"asked for by parallel='{parallel}'" in text
    assert "took " in text and "s per epoch" in text
    assert all(f" {each} " in text for each in EACH)


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("parallel", EACH)
def test_what_was_asked_for_is_compared_when_somebody_looks(rows, parallel, monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("data_estimate", "blocks_estimate", "calibrate"):
            patch.delattr(_strategies, name)
        model = network(parallel, hidden=(8,)).fit(*rows)
    assert model.explain().strategies.chosen.parallel == parallel
    assert model.explain().strategies == model.explain().strategies


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("codec", ["fp16", "topk:0.05"])
def test_bytes_of_compressed_rounds_are_less(rows, codec):
    plain, less = (
        network("data", compression=each).explain(*rows).chosen.bytes_per_epoch
        for each in (None, codec)
    )
    assert less < plain / 2


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("of", [MLPClassifier, MLPRegressor])
def test_a_plan_without_training(rows, of):
    X, y = rows
    model = network(of=of)
    before = dict(vars(model))
    plan = model.explain(X, y, sample_weight=np.ones(len(y)))
    assert vars(model) == before
    assert plan.calibrated and [each.parallel for each in plan.estimates] == list(EACH)
    assert all(each.seconds_per_epoch > 0 for each in plan.estimates)
    assert str(plan).startswith("predicted per epoch\n") and "\nchosen " in str(plan)
    fitted = model.fit(X, y)
    assert fitted.explain(X, y).chosen.bytes_per_epoch == plan.chosen.bytes_per_epoch
    assert hasattr(fitted.explain(), "history")


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"early_stopping": True}, {"model", "hybrid"}),
        ({"compression": "fp16"}, {"model", "hybrid"}),
        ({"outer": "nesterov"}, {"model", "hybrid"}),
        ({"sync_every": 2}, {"model"}),
        ({"n_blocks": 401}, {"model", "hybrid"}),
        ({"n_replicas": 5}, {"hybrid"}),
        ({"n_replicas": 3}, {"hybrid"}),  # there are two workers
        ({"hidden": ()}, {"model", "hybrid"}),
    ],
)
def test_arguments_restrict_the_choice(rows, arguments, refused):
    model = network(**arguments).fit(*rows)
    strategies = model.explain().strategies
    problems = {each.parallel: each.problem for each in strategies.estimates if each.problem}
    assert set(problems) == refused
    assert strategies.chosen.parallel not in refused
    name = next(iter(arguments))
    wanted = {"hidden": "hidden_layer_sizes", "n_replicas": "replicas need"}.get(name, name)
    assert all(wanted in problem for problem in problems.values())
    if len(refused) == 2 and name != "hidden":
        assert wanted in strategies.reason


@pytest.mark.usefixtures("executor")
def test_counts_are_used_in_the_estimates(rows):
    plan = network(n_blocks=8, n_replicas=2).explain(*rows)
    assert [(each.n_blocks, each.n_replicas) for each in plan.estimates] == [(1, 1), (8, 1), (8, 2)]


@pytest.mark.usefixtures("executor")
def test_partial_fit_averages(rows):
    X, y = rows
    model = network().partial_fit(X, y, classes=np.arange(3)).partial_fit(X, y)
    strategies = model.explain().strategies
    assert strategies.chosen.parallel == "data" and "partial_fit" in strategies.reason


@pytest.mark.usefixtures("executor")
def test_one_partition_has_no_replicas():
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(80, 5)), draw.integers(0, 2, 80)
    _, _, hybrid = network(hidden=(8,)).explain(X, y).estimates
    assert "2 replicas need as many partitions, there are 1" in hybrid.problem


@pytest.fixture
def small_workers():
    # This process needs more than that by itself, for which its workers would pause.
    unwatched = {f"distributed.worker.memory.{at}": False for at in ("target", "spill", "pause")}
    with (
        dask.config.set(unwatched),
        Executor(processes=False, n_workers=2, memory_limit="150MB") as executor,
    ):
        yield executor


@pytest.mark.usefixtures("small_workers")
@pytest.mark.parametrize(
    ("parallel", "hidden"), [("data", (3000, 2000)), ("model", ()), ("hybrid", ()), ("auto", ())]
)
def test_what_does_not_fit_is_refused_with_numbers(rows, parallel, hidden):
    model = network(parallel, hidden=hidden) if hidden else network(parallel)
    with pytest.raises(ValueError, match=r"needs \d\d\d MB on a worker, which has 150 MB"):
        model.fit(*rows)


@pytest.mark.usefixtures("small_workers")
def test_the_default_is_not_refused_for_what_a_worker_needs_by_itself(rows):
    assert network("data", hidden=(8,)).fit(*rows).explain().strategies.chosen.too_large


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize("parallel", EACH)
def test_explanations_hold_nothing_of_the_cluster(rows, parallel):
    model = network(parallel, hidden=(8,)).fit(*rows)
    text = str(model.explain())
    assert str(pickle.loads(pickle.dumps(model)).explain()) == text


@pytest.mark.usefixtures("executor")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parallel": "data", "n_blocks": 2}, "n_blocks=2 with parallel='data'.*'auto'"),
        ({"parallel": "data", "n_replicas": 2}, "n_replicas=2 with parallel='data'.*'auto'"),
        ({"parallel": "model", "n_replicas": 2}, "n_replicas=2 with parallel='model'.*'auto'"),
        ({"parallel": "model", "sync_every": 5}, "sync_every=5 with parallel='model'.*'auto'"),
        ({"parallel": "hybrid", "compression": "fp16"}, "compression='fp16' with.*None"),
        ({"parallel": "hybrid", "outer": "nesterov"}, "outer='nesterov' with.*'average'"),
        ({"parallel": "model", "early_stopping": True}, "early_stopping=True with.*False"),
        ({"parallel": "model", "hidden": ()}, r"parallel='model' with hidden_layer_sizes=\(\)"),
        ({"parallel": "model", "n_blocks": 401}, "n_blocks=401: the narrowest.*400 units"),
        ({"parallel": "hybrid", "n_replicas": 5}, "n_replicas=5 with 4 partitions.*2 to 4"),
    ],
)
def test_what_a_strategy_does_not_support_is_refused_where_it_is_named(rows, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments).fit(*rows)


@pytest.mark.usefixtures("executor")
def test_scores_are_rounds_too(rows):
    model = network("data", early_stopping=True).fit(*rows)
    chosen = model.explain().strategies.chosen
    assert len(model.history_) == 2 * chosen.rounds_per_epoch
    assert model.history_.bytes / 2 == pytest.approx(chosen.bytes_per_epoch, rel=0.01)
