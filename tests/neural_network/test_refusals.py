"""What is not supported raises, and the message names the argument and what is allowed."""

import dask.array as da
import numpy as np
import pytest

from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from tests.linear_model.toolbox import as_csr, as_dask, as_frame

pytestmark = [
    pytest.mark.usefixtures("executor"),
    pytest.mark.filterwarnings("ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"),
]

N = 90
MODELS = [MLPClassifier, MLPRegressor]
on_both = pytest.mark.parametrize("given", MODELS)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 4)), rng.integers(0, 3, N)


@on_both
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_layer_sizes": 0}, "hidden_layer_sizes.*Got 0|hidden_layer_sizes=0.*from 1"),
        ({"hidden_layer_sizes": -1}, "hidden_layer_sizes.*-1"),
        ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes=\(5, 0\).*whole numbers from 1"),
        ({"hidden_layer_sizes": [5, 2.5]}, r"hidden_layer_sizes=\[5, 2\.5\].*whole numbers from 1"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes.*2.5"),
        ({"hidden_layer_sizes": "a"}, "hidden_layer_sizes.*'a'"),
        ({"activation": "sigmoid"}, "'activation'.*'logistic'.*Got 'sigmoid'"),
        ({"solver": "lbfgs"}, "'solver'.*'adam'.*Got 'lbfgs'"),
        ({"compression": "gzip"}, r"compression='gzip'.*'fp16'.*'topk:SHARE'.*0 < SHARE <= 1"),
        ({"compression": "topk:2"}, r"compression='topk:2'.*'fp16'.*0 < SHARE <= 1"),
        ({"compression": "topk"}, r"compression='topk'.*'fp16'.*0 < SHARE <= 1"),
        ({"compression": 5}, "'compression'.*Got 5"),
        ({"outer": "adam"}, "'outer'.*'nesterov'.*Got 'adam'"),
        ({"sync_every": 0}, "'sync_every'.*Got 0"),
        ({"sync_every": "often"}, "'sync_every'.*'epoch'.*Got 'often'"),
        ({"sync_every": 1.5}, "'sync_every'.*Got 1.5"),
        ({"batch_size": 0}, "'batch_size'.*Got 0"),
        ({"learning_rate_init": 0}, "'learning_rate_init'.*Got 0"),
        ({"learning_rate": "optimal"}, "'learning_rate'.*'adaptive'.*Got 'optimal'"),
        ({"validation_fraction": 1}, "'validation_fraction'.*Got 1"),
        ({"validation_fraction": -0.1}, "'validation_fraction'.*Got -0.1"),
        ({"shuffle": "rows"}, "'shuffle'.*'partitions'.*Got 'rows'"),
        ({"momentum": 1.5}, "'momentum'.*Got 1.5"),
        ({"beta_1": 1.0}, "'beta_1'.*Got 1.0"),
        ({"max_iter": 0}, "'max_iter'.*Got 0"),
        ({"n_iter_no_change": 0}, "'n_iter_no_change'.*Got 0"),
        ({"alpha": -1e-9}, "'alpha'.*Got -1e-09"),
        ({"tol": -1}, "'tol'.*Got -1"),
        ({"callbacks": 3}, "'callbacks'.*Got 3"),
        ({"callbacks": [3]}, "callbacks has 3, which cannot be called"),
        ({"random_state": "a"}, "'random_state'.*Got 'a'"),
    ],
    ids=str,
)
def test_arguments_that_are_not_allowed_are_named(rows, given, arguments, message):
    model = given(**{"max_iter": 1} | arguments)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(as_dask(rows[0]), rows[1])
    assert not hasattr(model, "coefs_")


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_partial_fit_checks_its_arguments_too(rows, given, kind):
    X, y = rows
    known = {"classes": [0, 1, 2]} if given is MLPClassifier else {}
    for arguments, message in (
        ({"solver": "lbfgs"}, "'solver'.*Got 'lbfgs'"),
        ({"compression": "gzip"}, "compression='gzip'"),
    ):
        with pytest.raises(ValueError, match=message):
            given(**arguments).partial_fit(kind(X), y, **known)
    with pytest.raises(ValueError, match=f"{given.__name__} requires y to be passed"):
        given().partial_fit(kind(X), None, **known)


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
def test_y_is_required(rows, given, kind):
    with pytest.raises(ValueError, match=f"{given.__name__} requires y to be passed"):
        given().fit(kind(rows[0]), None)
    with pytest.raises(ValueError, match=f"{given.__name__} requires y to be passed"):
        given().fit(kind(rows[0]))


@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_that_are_not_finite(rows, kind, value):
    X, y = rows
    y = y.astype(float)
    y[70] = value
    message = r"y.* contains (NaN|infinity)|y has (NaN|infinity)|labels.*(NaN|infinity)"
    for given in MODELS:
        with pytest.raises(ValueError, match=message):
            given().fit(kind(X), kind(y))


@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_frame])
def test_one_class_is_not_enough(rows, kind):
    X, y = rows
    with pytest.raises(ValueError, match=r"two classes|one class|1 class"):
        MLPClassifier().fit(kind(X), np.ones(N))
    with pytest.raises(ValueError, match=r"two classes|one class|1 class"):
        MLPClassifier().fit(kind(X), y, (y == 1).astype(float))


@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_words_are_no_numbers(rows, kind):
    words = np.resize(np.array(["one", "two"]), N)
    with pytest.raises(ValueError, match=r"could not convert|allowed are real numbers"):
        MLPRegressor().fit(kind(rows[0]), kind(words))


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_y_with_two_columns(rows, given, kind):
    """scikit-learn's networks take several targets; these do not, and say so."""
    X, y = rows
    with pytest.raises(ValueError, match=r"y should be a 1d array|y.*\(90, 2\)|y.*2 columns"):
        given().fit(kind(X), kind(np.column_stack([y, y]).astype(float)))


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask, as_csr])
def test_another_number_of_features_than_in_fit(rows, given, kind):
    X, y = rows
    model = given(max_iter=1).fit(kind(X), y)
    message = rf"X has 3 features, but {given.__name__} is expecting 4 features"
    names = ["predict", "predict_proba"] if given is MLPClassifier else ["predict"]
    for name in names:
        with pytest.raises(ValueError, match=message):
            getattr(model, name)(kind(X[:, :3]))
    with pytest.raises(ValueError, match=message):
        model.score(kind(X[:, :3]), y)


@on_both
def test_chunks_of_unknown_width_are_measured_when_they_are_computed(rows, given):
    X, y = rows
    model = given(max_iter=1).fit(as_dask(X), y)
    narrow = as_dask(X).map_blocks(lambda block: block[:, :3], meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"X has 3 features, but \w+ is expecting 4"):
        model.predict(narrow).compute()


@on_both
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_to_predict_must_be_finite(rows, given, value):
    X, y = rows
    model = given(max_iter=1).fit(X, y)
    X[3, 1] = value
    for kind in (np.asarray, as_dask):
        with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
            np.asarray(model.predict(kind(X)))


@on_both
@pytest.mark.parametrize("kind", [np.asarray, as_dask])
def test_weights_below_zero_or_none_above(rows, given, kind):
    X, y = rows
    with pytest.raises(ValueError, match="sample_weight"):
        given().fit(kind(X), y, kind(np.where(np.arange(N) == 70, -1.0, 1.0)))
    with pytest.raises(ValueError, match=r"weight|class"):
        given().fit(kind(X), y, kind(np.zeros(N)))


@on_both
@pytest.mark.parametrize("kind", [np.asarray, lambda a: da.from_array(a, chunks=40)])
@pytest.mark.parametrize("n", [-1, 1])
def test_lengths_that_differ(rows, given, kind, n):
    X, y = rows
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        given().fit(kind(X), kind(np.resize(y, len(y) + n)))


@on_both
def test_no_rows_and_no_columns(rows, given):
    X, y = rows
    with pytest.raises(ValueError, match=r"0 sample|at least one row|at least two classes"):
        given().fit(X[:0], y[:0])
    with pytest.raises(ValueError, match=r"0 feature|at least one"):
        given().fit(X[:, :0], y)
    with pytest.raises(ValueError, match=r"0 feature|at least one"):
        given().fit(da.from_array(X[:, :0], chunks=(40, 1)), y)
