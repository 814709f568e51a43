"""scikit-learn's own callbacks, which it has from 1.9 on, beside ours."""

import io
import pickle
import re
import subprocess
import sys
from collections import Counter

import dask.array as da
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from daskml_exec import Executor, open_model, save
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.tiers import each_value

WITHOUT = """
import builtins
import sys
find = builtins.__import__
def find_for_others(name, globals=None, *args, **more):
    # Newer releases of scikit-learn need their own callbacks: they are hidden from us alone.
    if name == "sklearn.callback" and globals["__name__"].startswith("daskml_exec"):
        raise ModuleNotFoundError(name, name=name)
    return find(name, globals, *args, **more)
builtins.__import__ = find_for_others
from daskml_exec.linear_model import LogisticRegression
heard = []
model = LogisticRegression(callbacks=[heard.append]).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
print(hasattr(model, "set_callbacks"), len(heard) == len(model.history_))
"""


@pytest.mark.slow
def test_without_them_there_is_nothing_to_set():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False True\n"), done.stderr


sklearn_callbacks = pytest.importorskip("sklearn.callback")

rng = np.random.default_rng(0)
X = rng.normal(size=(90, 4))
Y = (X @ [2.0, 1.0, 0.0, 0.0] + rng.normal(size=90) > 0).astype(int)
WEIGHT = rng.integers(1, 4, size=90).astype(float)

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
ESTIMATORS = [
    LogisticRegression(),
    LogisticRegression(solver="lbfgs", max_iter=3),
    LogisticRegression(solver="averaging"),
    LogisticRegression(parallel="model", max_iter=4),
    LinearRegression(),
    Ridge(solver="lbfgs", max_iter=3),
    PoissonRegressor(),
    MLPClassifier(**SMALL),
    MLPClassifier(**SMALL, sync_every=2),
    MLPClassifier(**SMALL, parallel="model"),
    MLPRegressor(**SMALL),
]
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module", autouse=True)
def threads():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def chunks(array):
    return da.from_array(array, chunks=(30, *array.shape[1:]))


def bits(model):
    if hasattr(model, "coefs_"):
        return [piece.tobytes() for piece in (*model.coefs_, *model.intercepts_)]
    return [model.coef_.tobytes(), model.intercept_.tobytes()]


class Recorder:
    """A callback of scikit-learn that keeps what it hears; it raises, or stops, where it is to."""

    def __init__(self, *, raises_in=None, stops_at=None):
        self.heard = []
        self._raises_in, self._stops_at = raises_in, stops_at

    def setup(self, estimator, context):
        self._hear("setup", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self._hear("begin", context, (X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self._hear("end", context, fitted_estimator)
        return (context.task_name, context.task_id) == self._stops_at

    def teardown(self, estimator, context):
        self._hear("teardown", context)

    def _hear(self, hook, context, got=None):
        self.heard.append((hook, context, got))
        if hook == self._raises_in:
            raise ValueError(f"mine, in {hook}")

    @property
    def story(self):
        return [f"{hook} {context.task_name}" for hook, context, _ in self.heard]

    def ended(self, task):
        """Return the models at the ends of tasks of this name."""
        return [
            got for hook, context, got in self.heard if (hook, context.task_name) == ("end", task)
        ]


class Propagated(Recorder):
    max_propagation_depth = None


def test_the_story_of_a_fit():
    recorder = Recorder()
    model = MLPClassifier(**SMALL).set_callbacks(recorder).fit(X, Y, WEIGHT)
    epoch = ["begin epoch", "end epoch"]
    assert recorder.story == ["setup fit", "begin fit", *3 * epoch, "end fit", "teardown fit"]
    contexts = [context for hook, context, _ in recorder.heard if hook == "begin"]
    assert contexts[0].max_subtasks == 3 and contexts[0].estimator_name == "MLPClassifier"
    assert [context.task_id for context in contexts] == [0, 0, 1, 2]
    for hook, _, got in recorder.heard:
        if hook == "begin":
            assert got[0] is X and got[1] is Y and got[2]["sample_weight"] is WEIGHT
    assert {name for name in vars(model) if "callback" in name} == {"callbacks", "_skl_callbacks"}


@each_estimator
def test_each_epoch_or_iteration_is_a_task_with_its_model(estimator):
    events, recorder = [], Recorder()
    model = clone(estimator).set_params(callbacks=[events.append]).set_callbacks(recorder)
    model.fit(chunks(X), chunks(Y))
    unit, limit = events[0].reached.unit, events[0].reached.limit
    # Of the first round with which so many are done; those of blocks cannot be had later.
    lasting = unit == "iteration" or estimator.parallel == "data"
    models = {event.reached.done: event.estimator for event in events[::-1] if lasting}
    ended = recorder.ended(unit)
    done = int(events[-1].reached.done)
    unfinished = ended[done:]
    assert unfinished == ([] if done == limit else [None])
    for number, told in enumerate(ended[:done], start=1):
        assert told.predict(X).shape == Y.shape
        if lasting:
            np.testing.assert_array_equal(told.predict(X), models[number].predict(X))
    (last,) = recorder.ended("fit")
    np.testing.assert_array_equal(last.predict(X), model.predict(X))
    assert last.history_ is model.history_


@each_value(estimator=ESTIMATORS, n_chunks=[1, 3])
def test_listening_changes_nothing_of_what_is_computed(estimator, n_chunks):
    data = [da.from_array(a, chunks=(len(a) // n_chunks, *a.shape[1:])) for a in (X, Y)]
    ours = clone(estimator).set_params(callbacks=[lambda event: None]).fit(*data)
    theirs = clone(estimator).set_callbacks(Recorder()).fit(*data)
    alone = clone(estimator).fit(*data)
    for ours_bits, theirs_bits, alone_bits in zip(*map(bits, (ours, theirs, alone)), strict=True):
        assert ours_bits == theirs_bits == alone_bits
    steps = [[record.step for record in model.history_] for model in (alone, ours, theirs)]
    assert steps[0] == steps[1] == steps[2]
    moved = [[(r.bytes_out, r.bytes_back) for r in model.history_] for model in (ours, theirs)]
    assert moved[0] == moved[1]


@pytest.mark.parametrize("estimator", [LogisticRegression(solver="lbfgs"), MLPClassifier(**SMALL)])
def test_one_may_stop_a_fit(estimator):
    unit = "iteration" if isinstance(estimator, LogisticRegression) else "epoch"
    recorder, events = Recorder(stops_at=(unit, 1)), []
    model = estimator.set_params(callbacks=[events.append]).set_callbacks(recorder)
    model.fit(chunks(X), chunks(Y))
    assert events[-1].reached.done == 2 == np.max(model.n_iter_)
    assert [got is not None for got in recorder.ended(unit)] == [True, True, False]
    assert recorder.story[-2:] == ["end fit", "teardown fit"]


def test_scores_are_those_of_the_events():
    scores = {}

    def watch(event):
        scores.setdefault(int(event.reached.done), event.estimator.score(X, Y))

    monitor = sklearn_callbacks.ScoringMonitor(scoring="accuracy")
    model = LogisticRegression(solver="lbfgs", max_iter=5, callbacks=[watch])
    model.set_callbacks(monitor).fit(X, Y)
    log = monitor.get_logs().data
    assert [row["accuracy"] for row in log if row["task_name"] == "iteration"] == [
        scores[number] for number in range(1, 6)
    ]
    (of_fit,) = (row for row in log if row["task_name"] == "fit")
    assert of_fit["accuracy"] == model.score(X, Y)


def test_scores_on_the_cluster_with_weights():
    def of_model(estimator, X, y, sample_weight):
        assert isinstance(X, da.Array)
        return {"score": estimator.score(X, y, sample_weight)}

    monitor = sklearn_callbacks.ScoringMonitor(scoring=of_model)
    model = MLPClassifier(**SMALL).set_callbacks(monitor)
    model.fit(chunks(X), chunks(Y), chunks(WEIGHT))
    log = monitor.get_logs().data
    assert [row["task_name"] for row in log] == ["fit", *3 * ["epoch"]]
    assert log[0]["score"] == pytest.approx(model.score(X, Y, WEIGHT))


def test_a_bar(monkeypatch):
    pytest.importorskip("rich")
    shown = io.StringIO()
    monkeypatch.setattr("rich._console", None)
    monkeypatch.setattr("sys.stdout", shown)
    LogisticRegression().set_callbacks(sklearn_callbacks.ProgressBar()).fit(X, Y)
    assert re.search(r"LogisticRegression - fit .*100%", shown.getvalue())


def test_a_pipeline_hands_them_on():
    recorder = Propagated()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(solver="lbfgs", max_iter=3))
    pipeline.set_callbacks(recorder).fit(X, Y)
    by_estimator = Counter(
        (context.estimator_name, context.task_name)
        for hook, context, _ in recorder.heard
        if hook == "end"
    )
    assert by_estimator["LogisticRegression", "iteration"] == 3
    assert by_estimator["LogisticRegression", "fit"] == 1
    (of_model,) = {
        context
        for hook, context, _ in recorder.heard
        if hook == "end"
        and (context.estimator_name, context.task_name) == ("LogisticRegression", "fit")
    }
    assert of_model.parent.estimator_name == "Pipeline" and of_model.max_subtasks == 3
    # It is set up once, and the step keeps nothing.
    assert Counter(recorder.story)["setup fit"] == Counter(recorder.story)["teardown fit"] == 1
    assert not {"_skl_callbacks", "_parent_callback_ctx"} & set(vars(pipeline[-1]))


def test_a_search_hands_them_on():
    recorder = Propagated()
    search = GridSearchCV(Ridge(solver="lbfgs", max_iter=2), {"alpha": [0.1, 1.0]}, cv=3)
    search.set_callbacks(recorder).fit(X, X[:, 0] + Y)
    fits = [
        context
        for hook, context, _ in recorder.heard
        if hook == "end" and context.estimator_name == "Ridge" and context.task_name == "fit"
    ]
    assert len(fits) == 2 * 3 + 1
    assert Counter(context.source_task_name for context in fits) == {
        "candidate-split-evaluation": 6,
        "refit-with-best-params": 1,
    }
    assert len(recorder.ended("iteration")) == 7 * 2
    assert "_skl_callbacks" not in vars(search.best_estimator_)


@each_value(estimator=ESTIMATORS, hook=["setup", "begin", "end", "teardown"])
def test_an_error_leaves_the_estimator_as_it_was(estimator, hook):
    model = clone(estimator).fit(X, Y)
    recorder = Recorder(raises_in=hook)
    model.set_callbacks(recorder)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=f"mine, in {hook}"):
        model.fit(X[:, :3], Y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert recorder.story.count("setup fit") == recorder.story.count("teardown fit") == 1


def test_a_fit_that_raises_is_torn_down_but_has_no_end():
    def fail(event):
        raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        Ridge(callbacks=[fail]).set_callbacks(recorder).fit(X, Y)
    story = ["setup fit", "begin fit", "begin iteration", "teardown fit"]
    assert recorder.story == story


def test_what_is_refused_is_not_set_up():
    recorder = Recorder()
    with pytest.raises(ValueError, match="alpha"):
        Ridge(alpha=-1).set_callbacks(recorder).fit(X, Y)
    with pytest.raises(ValueError, match="rows"):
        Ridge().set_callbacks(recorder).fit(chunks(X), Y[:-1])
    assert recorder.story == []


def test_an_epoch_more_is_a_fit_of_one_task():
    recorder = Recorder()
    model = MLPClassifier(**SMALL).fit(X, Y).set_callbacks(recorder)
    model.partial_fit(X, Y)
    assert recorder.story.count("end epoch") == 1 and len(recorder.ended("fit")) == 1


@pytest.mark.parametrize("callback", [None, print, Recorder])
def test_what_is_no_callback_of_theirs(callback):
    with pytest.raises(TypeError, match="must be instances following the FitCallback protocol"):
        Ridge().set_callbacks(callback)


def test_clones_and_pickles_keep_them_and_files_do_not(tmp_path):
    monitor = sklearn_callbacks.ScoringMonitor(scoring="r2")
    model = Ridge().set_callbacks(monitor).fit(X, Y)
    assert clone(model)._skl_callbacks == [monitor]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    save(model, tmp_path / "model")
    opened = open_model(tmp_path / "model")
    np.testing.assert_array_equal(opened.predict(X), model.predict(X))
    assert not hasattr(opened, "_skl_callbacks")
    model.set_callbacks()
    assert not hasattr(model, "_skl_callbacks")
