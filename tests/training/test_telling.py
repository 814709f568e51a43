"""What a callback hears of a whole fit: its begin, its rounds, its end, in this order."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import Executor
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import BeginEvent, EndEvent, Reached, RoundEvent

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = (X @ [2.0, 1.0, 0.0, 0.0] + rng.normal(size=60) > 0).astype(int)

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
ESTIMATORS = [
    LogisticRegression(solver="lbfgs"),
    LogisticRegression(parallel="model"),
    LinearRegression(),
    Ridge(),
    PoissonRegressor(),
    MLPClassifier(**SMALL),
    MLPClassifier(**SMALL, parallel="model"),
    MLPRegressor(**SMALL),
]
ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module", autouse=True)
def threads():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


class Listener:
    """Keeps what it hears, and raises or stops where it is told to."""

    def __init__(self, *, heard=None, raises_in=None, error=None, stops=False):
        self.heard = [] if heard is None else heard
        self._raises_in, self._error, self._stops = raises_in, error or ValueError("mine"), stops

    def on_begin(self, event):
        self._hear("begin", event)

    def __call__(self, event):
        self._hear("round", event)
        return self._stops

    def on_end(self, event):
        self._hear("end", event)

    def _hear(self, name, event):
        self.heard.append(event)
        if name == self._raises_in:
            raise self._error

    @property
    def kinds(self):
        return [type(event) for event in self.heard]


def fitted(estimator, *callbacks):
    return clone(estimator).set_params(callbacks=list(callbacks)).fit(X, Y)


@ignore_convergence
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_begin_rounds_end(estimator):
    listener = Listener()
    model = fitted(estimator, listener)
    begin, *rounds, end = listener.heard
    assert isinstance(begin, BeginEvent) and isinstance(end, EndEvent)
    assert [event.record for event in rounds] == list(model.history_)
    assert begin.estimator is end.estimator is model
    assert end.history is model.history_ and end.error is None
    unit, limit = rounds[0].reached.unit, rounds[0].reached.limit
    assert begin.reached == Reached(unit, 0, limit) and limit == model.max_iter
    assert end.reached == rounds[-1].reached
    assert end.stopped == ("limit" if isinstance(model, MLPClassifier | MLPRegressor) else "done")


def test_the_plan_is_what_verbose_prints(capsys):
    listener = Listener()
    fitted(LogisticRegression(verbose=1), listener)
    begin = listener.heard[0]
    assert begin.plan.startswith("60 rows x 4 columns in 1 partition, by ")
    assert f"LogisticRegression: {begin.plan}\n" in capsys.readouterr().out


@ignore_convergence
def test_an_epoch_more_begins_and_ends():
    listener = Listener()
    model = MLPClassifier(**SMALL).fit(X, Y).set_params(callbacks=[listener]).partial_fit(X, Y)
    begin, *_, end = listener.heard
    assert begin.reached == Reached("epoch", 0, 1) and end.reached == Reached("epoch", 1, 1)
    assert end.history is model.history_


def test_plain_functions_and_some_of_the_methods_will_do():
    heard = []

    def watch(event):
        heard.append(event)

    class Ending:
        on_end = heard.append

        def __call__(self, event):
            pass

    model = fitted(Ridge(), watch, Ending())
    *rounds, end = heard
    assert [event.record for event in rounds] == list(model.history_)
    assert isinstance(end, EndEvent)


def test_all_hear_of_all_in_the_order_in_which_they_are_given():
    heard = []
    first, second = (Listener(heard=heard) for _ in range(2))
    model = fitted(Ridge(), first, second)
    n = len(model.history_)
    kinds = [type(event) for event in heard]
    assert kinds == 2 * [BeginEvent] + 2 * n * [RoundEvent] + 2 * [EndEvent]
    assert heard[::2] == heard[1::2]


@pytest.mark.parametrize("estimator", [LogisticRegression(), MLPClassifier(**SMALL)], ids=repr)
def test_one_that_stops_is_why_it_ended(estimator):
    listener, other = Listener(stops=True), Listener()
    fitted(estimator, listener, other)
    assert listener.kinds == other.kinds == [BeginEvent, RoundEvent, EndEvent]
    assert other.heard[-1].stopped == "callback"


@ignore_convergence
def test_the_limit_is_why_it_ended():
    listener = Listener()
    fitted(LogisticRegression(solver="lbfgs", max_iter=2), listener)
    assert listener.heard[-1].stopped == "limit"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine")], ids=repr)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_the_end_is_told_where_fit_raises(estimator, error):
    listener = Listener(raises_in="round", error=error)
    with pytest.raises(type(error)):
        fitted(estimator, listener)
    assert listener.kinds == [BeginEvent, RoundEvent, EndEvent]
    end = listener.heard[-1]
    assert end.stopped == "error" and end.error is error and end.history is None
    assert not hasattr(end.estimator, "history_")


def test_a_warning_that_is_an_error_is_one_for_listeners():
    listener = Listener()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            fitted(LogisticRegression(solver="lbfgs", max_iter=1), listener)
    assert listener.heard[-1].stopped == "error"


def test_what_is_refused_does_not_begin():
    listener = Listener()
    with pytest.raises(ValueError, match="alpha"):
        Ridge(alpha=-1, callbacks=[listener]).fit(X, Y)
    with pytest.raises(ValueError, match="inconsistent"):
        Ridge(callbacks=[listener]).fit(X, Y[:-1])
    assert listener.heard == []


def test_who_has_not_begun_hears_of_no_end():
    before, failing, after = Listener(), Listener(raises_in="begin"), Listener()
    with pytest.raises(ValueError, match="mine"):
        fitted(Ridge(), before, failing, after)
    assert before.kinds == [BeginEvent, EndEvent] and before.heard[-1].stopped == "error"
    assert failing.kinds == [BeginEvent] and after.kinds == []


@pytest.mark.parametrize("where", ["begin", "round", "end"])
def test_an_error_leaves_the_estimator_as_it_was(where):
    listener, other = Listener(raises_in=where), Listener()
    model = fitted(LogisticRegression()).set_params(callbacks=[listener, other])
    before = dict(vars(model))
    with pytest.raises(ValueError, match="mine"):
        model.fit(X[:, :3], Y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    if where == "end":
        assert other.kinds[-1] is EndEvent  # it is told all the same


def test_a_callback_may_fit_another_estimator():
    inner, outer = Listener(), Listener()

    def refit(event):
        if event.record.round == 0:
            fitted(Ridge(), inner)

    model = fitted(LogisticRegression(), refit, outer)
    assert isinstance(inner.heard[-1].estimator, Ridge)
    assert outer.heard[-1].estimator is model and outer.heard[-1].history is model.history_
