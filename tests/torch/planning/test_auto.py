"""What ``parallel="auto"`` chooses on a cluster, and that a fit is that of the way chosen."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from daskml_exec import Executor, open_model, save
from daskml_exec.partitions import load_samples as load_in_this_process
from daskml_exec.torch import TorchClassifier, TorchRegressor
from daskml_exec.torch.planning import _compare
from daskml_exec.torch.planning._dry_step import step_seen
from daskml_exec.torch.planning._memory import MOST
from daskml_exec.torch.planning._seen import Cluster
from tests.neural_network.block_fits import threads
from tests.torch.networks import bits
from tests.torch.pipeline.cut_modules import ROWS, STAGES, estimator, lazy
from tests.torch.pipeline.test_refusals import Counts, Skips

WAYS = ("data", "pipeline", "hybrid")


@pytest.fixture(scope="module", autouse=True)
def two_workers():
    with threads(2):
        yield


def auto(case="chain", **arguments):
    return estimator(case, **{"parallel": "auto", "max_epochs": 2, **arguments})


def asked(model):
    return {each.parallel: each for each in model.explain().choice.ways}


@pytest.fixture
def taking(monkeypatch):
    """Let parts take so many seconds for each sample, whatever they take, and what else is said."""

    def take(seconds, **changes):
        def seen(parts, chain, batch, sizes):
            found = step_seen(parts, chain, batch, sizes)
            times = tuple(seconds * n for n in found.sizes)
            made = tuple(replace(each, forth=times, back=times) for each in found.parts)
            return replace(found, parts=made, update=0.0, **changes)

        monkeypatch.setattr(_compare, "step_seen", seen)

    return take


@pytest.fixture
def limited(monkeypatch):
    """Let Workers have so much memory, as far as a choice depends on it."""

    def limit(nbytes, n_workers=2):
        monkeypatch.setattr(_compare, "cluster_of", lambda _: Cluster(n_workers, nbytes))

    return limit


def test_on_a_cluster_all_ways_are_compared():
    model = auto().fit(*lazy("chain", 25))
    found = asked(model)
    assert list(found) == list(WAYS)
    assert all(each.seconds > 0 and each.memory > 1e8 for each in found.values())
    assert found["pipeline"].n_stages == 2 and found["hybrid"].n_replicas == 2
    assert model.parallel_ == "data"  # rounds cost less than messages of each of many short steps
    text = str(model.explain())
    assert "chosen" in text and "beside pipeline" in text
    [line] = [each for each in text.splitlines() if each.startswith("data  ") and " s " in each]
    assert line.count(" s ") == 2  # predicted, and measured
    assert bits(model) == bits(auto(parallel="data").fit(*lazy("chain", 25)))


def test_the_same_is_chosen_again():
    assert len({auto().fit(*lazy("chain", 25)).parallel_ for _ in range(3)}) == 1


def test_in_this_process_there_is_one_way():
    rows = ROWS.astype(np.float32)
    model = TorchRegressor(nn.Linear(6, 1), parallel="auto", random_state=0)
    with load_in_this_process(rows, rows.sum(axis=1), executor=None) as data:
        model.fit(data)
    assert model.parallel_ == "data"
    assert "the data is in this process" in asked(model)["pipeline"].problem


def no_room_for_copies(limited, taking):
    """Let the module seem large, and Workers have room for stages of it alone."""
    taking(1e-3, parameters=10**9, moments=2 * 10**9)
    needs = {name: each.memory for name, each in asked(auto().fit(*lazy("chain", 25))).items()}
    assert needs["pipeline"] < needs["data"]
    limited(int(needs["pipeline"] / MOST) + 1)


def test_memory_forces_stages(limited, taking):
    """Where a copy does not fit, the fit has the bits of the way that does."""
    no_room_for_copies(limited, taking)
    model = auto().fit(*lazy("chain", 25))
    assert model.parallel_ == "pipeline"
    begins = list(asked(model)["pipeline"].begins)
    again = auto(parallel="pipeline", stages=begins).fit(*lazy("chain", 25))
    assert bits(model) == bits(again)
    assert "not data, which needs" in model.explain().choice.reason
    assert "2 stages" in str(model.explain())


def test_nothing_fits(limited):
    limited(1_000_000)
    model = auto()
    message = r"no way to train fits .*\(data: needs .*; pipeline: needs .*; hybrid: needs .*\)"
    with pytest.raises(ValueError, match=message):
        model.fit(*lazy("chain", 25))
    assert not hasattr(model, "module_") and not hasattr(model, "parallel_")


def test_a_module_that_cannot_be_cut_is_trained_as_a_whole():
    model = auto().set_params(module=Skips).fit(*lazy("chain", 25))
    assert model.parallel_ == "data"
    found = asked(model)
    assert found["data"].seconds > 0
    assert "cannot be cut between its children" in found["pipeline"].problem
    assert "not pipeline, as module=Skips cannot be cut" in str(model.explain())


@pytest.mark.parametrize(
    "arguments",
    [{"compile": False, "compression": "fp16"}, {"accumulate": 2}, {"rows_least": 3}],
    ids=lambda each: list(each)[-1],
)
def test_arguments_that_stages_do_not_go_with(arguments):
    model = auto(**arguments).fit(*lazy("chain", 25))
    assert model.parallel_ == "data"
    name, value = list(arguments.items())[-1]
    assert f"{name}={value!r} with parallel='pipeline'" in asked(model)["pipeline"].problem


def test_one_partition_has_no_replicas():
    found = asked(auto().fit(*lazy("chain")))
    assert found["hybrid"].problem == "2 replicas need as many partitions, and there is one"


def test_stages_hold_where_they_are():
    model = auto(stages=["2", "5"], micro_batches=2).fit(*lazy("chain", 25))
    assert asked(model)["pipeline"].n_stages == 3
    assert asked(model)["pipeline"].begins == ("2", "5.0")
    model = auto("words", stages=STAGES["words"]).fit(*lazy("words", 25))
    assert asked(model)["pipeline"].n_stages == 3 and asked(model)["pipeline"].begins == ()
    with pytest.raises(ValueError, match="stages=1 with parallel='auto'; allowed are None"):
        auto(stages=1).fit(*lazy("chain", 25))
    with pytest.raises(ValueError, match=r"output_blocks=2 with parallel='auto'.* allowed are"):
        auto(output_blocks=2).fit(*lazy("chain", 25))


MISSPELT = {
    "name": (["six"], ValueError, "stages has 'six', which no part is called like"),
    "number": (99, ValueError, "stages=99, and the module has .* allowed are as many stages"),
    "function": (lambda module: [module.boody], AttributeError, "has no attribute 'boody'"),
    "none": (lambda module: [], ValueError, r"stages\(module\) returned 0 of them; allowed"),
}


@pytest.mark.parametrize(("stages", "error", "message"), MISSPELT.values(), ids=MISSPELT)
def test_stages_that_are_not_there_are_no_reason_to_train_a_copy(stages, error, message):
    with pytest.raises(error, match=message) as caught:
        auto(stages=stages).fit(*lazy("chain", 25))
    if callable(stages):
        assert caught.value.__notes__ == ["in stages(module), which parallel='auto' has called"]


def test_what_a_fit_in_stages_refuses_later_leaves_the_others(taking):
    taking(0.5)
    with threads(4):
        model = auto(optimizer=Counts, batch_size=24).fit(*lazy("chain", 25))
    assert model.parallel_ == "data"
    for name in WAYS[1:]:
        assert "remembers 'k' in its groups" in asked(model)[name].problem


def test_going_on_keeps_what_was_chosen_first(monkeypatch, taking, limited):
    no_room_for_copies(limited, taking)
    model = auto(warm_start=True).fit(*lazy("chain", 25))
    assert model.parallel_ == "pipeline"

    def fail(*_):
        raise AssertionError("compared again")

    monkeypatch.setattr("daskml_exec.torch._ways.choice_of", fail)
    begins = list(asked(model)["pipeline"].begins)
    other = auto(warm_start=True, parallel="pipeline", stages=begins).fit(*lazy("chain", 25))
    for each in (model, other):
        each.partial_fit(*lazy("chain", 25))
    assert bits(model) == bits(other) and model.parallel_ == "pipeline"
    assert bits(model.fit(*lazy("chain", 25))) == bits(other.fit(*lazy("chain", 25)))
    assert "not data" in str(model.explain())
    with pytest.raises(AssertionError, match="compared again"):
        clone(model).fit(*lazy("chain", 25))


def test_four_workers_with_two_partitions_have_replicas_of_stages(taking):
    taking(0.5)
    with threads(4):
        model = auto(sync_every=5, batch_size=24).fit(*lazy("chain", 25))
        assert model.parallel_ == "hybrid", str(model.explain())
        way = asked(model)["hybrid"]
        assert (way.n_stages, way.n_replicas) == (2, 2)
        given = {"sync_every": 5, "batch_size": 24, "stages": list(way.begins)}
        assert bits(model) == bits(auto(parallel="hybrid", **given).fit(*lazy("chain", 25)))
        assert model.history_[-1].workers == 4


def test_one_worker():
    with threads(1):
        model = auto().fit(*lazy("chain", 25))
        assert model.parallel_ == "data"
        assert asked(model)["hybrid"].problem == "replicas on one Worker would take turns"


def classifier(n_features, n_outputs):
    return nn.Sequential(nn.Linear(n_features, 8), nn.ReLU(), nn.Linear(8, n_outputs))


def test_searches_and_files(tmp_path):
    X = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    model = TorchClassifier(classifier, parallel="auto", lr=0.05, random_state=0)
    search = GridSearchCV(model, {"lr": [0.01, 0.1]}, cv=2).fit(X, y)
    assert search.best_estimator_.parallel_ in WAYS
    best = search.best_estimator_
    save(best, str(tmp_path / "model"))
    opened = open_model(str(tmp_path / "model"), module=classifier)
    assert opened.parallel_ == best.parallel_
    assert str(opened.explain()) == str(best.explain())
    assert "<th>chosen</th>" in opened.explain()._repr_html_()


def test_what_workers_have():
    with Executor(processes=False, n_workers=3) as executor:
        executor.client.wait_for_workers(3)
        found = _compare.cluster_of(executor)
    assert (found.n_workers, found.one_machine) == (3, True)


def test_samples_held_out(limited, taking):
    """They are not trained on, and the best weights are kept in the way that is followed."""
    no_room_for_copies(limited, taking)
    given = {"validation_fraction": 0.2, "max_epochs": 3}
    model = auto(**given).fit(*lazy("chain", 25))
    assert model.parallel_ == "pipeline"
    begins = list(asked(model)["pipeline"].begins)
    other = auto(parallel="pipeline", stages=begins, **given).fit(*lazy("chain", 25))
    assert bits(model) == bits(other)
    assert model.validation_scores_ == other.validation_scores_
