"""A `Data` is shared by fits, goes with its `with`, and fits only what it was loaded for."""

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cloudpickle
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError
from daskml_exec.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from daskml_exec.neural_network import MLPClassifier, MLPRegressor
from daskml_exec.training import Cells, Data, Labels, Query, load
from tests.executor.rounds import task_prefixes, until_released
from tests.partitions.toolbox import D, N, labels, rows, target, weights
from tests.tiers import each_pair

NAMES = list("abcd")
CALLS = []


def counted(block):
    CALLS.append(len(block))
    return block


@dataclass(frozen=True)
class Rows(Query):
    """Partitions that are no rows of numbers."""

    def partial(self, partition):
        return (partition.X, partition.y)


def chunked(array, chunks=5):
    return da.from_array(array, chunks=(chunks, *array.shape[1:]))


def held(data):
    return data.executor.client.gather(list(data.partitions.futures))


@pytest.fixture(autouse=True)
def on_threads(executor):
    return executor


def fits(data, X, y):
    """Each fit on a Data and on what it was loaded from."""
    for model in (
        LogisticRegression(),
        LogisticRegression(solver="lbfgs", C=0.1),
        MLPClassifier((3,), max_iter=2, random_state=0),
        MLPClassifier((3,), max_iter=2, random_state=0, shuffle="partitions"),
        MLPClassifier((3,), max_iter=2, random_state=0, parallel="model"),
    ):
        yield model.fit(data), type(model)(**model.get_params()).fit(X, y)


def fitted_arrays(model):
    return [
        np.asarray(array)
        for name in ("coef_", "intercept_", "coefs_", "intercepts_")
        if hasattr(model, name)
        for array in (getattr(model, name) if name.endswith("s_") else [getattr(model, name)])
    ]


def require_same(model, other):
    arrays = fitted_arrays(model)
    assert arrays
    for a, b in zip(arrays, fitted_arrays(other), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=str(model))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*sorted.*:UserWarning")
def test_fits_share_what_was_loaded_once():
    CALLS.clear()
    X = chunked(rows() / N).map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
    y = np.arange(N) // 4 % 2
    with load(X, y, target="labels") as data:
        for shared, alone in fits(data, chunked(rows() / N), y):
            require_same(shared, alone)
        assert len(CALLS) == 5
        assert sum(map(len, (piece.y for piece in held(data)))) == N


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("level", [0.0, 1e9])
@pytest.mark.parametrize("cut", ["rows", "cells"])
def test_regressors_share_too(level, cut):
    """Targets far from zero are brought near it for those models that gain by it."""
    X, y = chunked(rows() / N), target() + level
    parallel = {"rows": "data", "cells": "model"}[cut]
    models = [Ridge(parallel=parallel), LinearRegression(parallel=parallel)]
    models.append(Ridge(fit_intercept=False, parallel=parallel))
    if cut == "rows":
        models.append(MLPRegressor((3,), max_iter=1, random_state=0))
    with load(X, y, target="numbers", cut=cut) as data:
        for model in models:
            require_same(model.fit(data), type(model)(**model.get_params()).fit(X, y))


def test_two_fits_at_once():
    with load(chunked(rows() / N), labels(), target="labels") as data:
        alone = {C: LogisticRegression(C=C).fit(data).coef_ for C in (0.1, 1.0, 10.0)}
        barrier = threading.Barrier(3)
        executor = Executor.current()

        def fit(C):
            barrier.wait(20)
            with executor:
                return LogisticRegression(C=C).fit(data).coef_

        with ThreadPoolExecutor(3) as pool:
            for C, coef in zip(alone, pool.map(fit, alone), strict=True):
                np.testing.assert_array_equal(coef, alone[C])


def test_features_are_learned_and_compared():
    X = dd.from_pandas(pd.DataFrame(rows(), columns=NAMES), npartitions=3)
    with load(X, labels(), target="labels") as data:
        model = LogisticRegression().fit(data)
        assert model.feature_names_in_.tolist() == NAMES and model.n_features_in_ == D
    with load(rows(), labels(), target="labels") as data:
        assert not hasattr(LogisticRegression().fit(data), "feature_names_in_")
        stream = MLPClassifier((3,), random_state=0).partial_fit(data, classes=[0, 1, 2])
        with pytest.raises(ValueError, match=r"a Data with the classes \[0, 1, 2\]; MLPC.* needs"):
            MLPClassifier((3,)).partial_fit(data, classes=[0, 1, 2, 3])
        with (
            load(rows()[:, :3], labels(), target="labels") as other,
            pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"),
        ):
            stream.partial_fit(other)


# Predictions and scores


def whole(result):
    return np.asarray(result.compute(scheduler=Executor.current().client))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", [LogisticRegression(), MLPClassifier((3,), max_iter=2)])
def test_predictions_are_of_the_rows_in_order(model):
    X = rows(np.float32) / N
    with load(chunked(X, (5, 0, 15, 3, 0)), labels(), target="labels") as data:
        model.fit(data)
        for method in ("predict", "predict_proba"):
            predict = getattr(model, method)
            found, expected = predict(data), predict(X)
            assert isinstance(found, da.Array) and found.dtype == expected.dtype
            assert (
                found.chunks[0] == data.rows == (5, 0, 15, 3, 0) and found.shape == expected.shape
            )
            np.testing.assert_allclose(whole(found) == expected, True)
        kept = model.predict(data)
    np.testing.assert_array_equal(whole(kept), model.predict(X))


@pytest.mark.parametrize("target", [None, "labels", "numbers"])
def test_a_prediction_needs_no_target(target):
    model = Ridge().fit(rows(), labels())
    y = None if target is None else labels()
    with load(chunked(rows()), y, target=target) as data:
        np.testing.assert_allclose(whole(model.predict(data)), model.predict(rows()))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@each_pair(words=[False, True], weight=[None, weights()], scale=[1.0, 2.0**70])
def test_a_score_is_that_of_what_was_loaded(weight, scale, words):
    X, y = chunked(rows() / N), labels()
    y = np.array(["low", "middle", "high"])[y] if words else y
    weight = None if weight is None else weight * scale
    model = LogisticRegression().fit(rows() / N, y)
    with load(X, y, weight, target="labels") as data:
        assert model.score(data) == model.score(X, y, weight)
    with load(X, y, weight, target=Labels(class_weight="balanced")) as data:
        assert model.score(data) == pytest.approx(model.score(X, y, weight), rel=1e-14)
    if words:
        return
    for regressor in (Ridge(), PoissonRegressor(), MLPRegressor((3,), max_iter=2)):
        regressor.fit(rows() / N, y)
        with load(X, y, weight, target="numbers") as data:
            assert regressor.score(data) == regressor.score(X, y, weight)


def test_what_has_no_prediction_or_score_is_named():
    X, model = rows(), LogisticRegression().fit(rows(), labels())
    names = pd.DataFrame(X, columns=NAMES)
    zero = Labels(class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    with (
        load(X, labels(), target="labels") as data,
        load(X, target(), target="numbers", cut=Cells(2)) as cells,
        load(names, raw=True) as raw,
        load(X[:, :3], labels(), target="labels") as narrow,
        load(X, labels(), target=zero) as without_a_class,
    ):
        with data.map(Rows()) as pairs:
            for other, message in (
                (cells, "cut='cells', for parallel='model'; a prediction of LogisticRegression"),
                (raw, "raw=True, and was not checked to be numbers; a prediction of Logistic"),
                (narrow, "X has 3 features, but LogisticRegression is expecting 4"),
                (pairs, "partitions are of a kind of their own; a prediction of Logistic"),
            ):
                with pytest.raises(ValueError, match=message):
                    model.predict(other)
        for arguments, message in (
            ((data, labels()), "X is a Data, and y is given beside it"),
            ((data, None, weights()), "X is a Data, and sample_weight is given beside it"),
            ((X,), "y is None; allowed is one value per row, and None where X is a Data"),
            ((cells,), "target='numbers'; LogisticRegression.score needs"),
            ((without_a_class,), r"class_weight of 0 for the labels \[0\]"),
        ):
            with pytest.raises(ValueError, match=message):
                model.score(*arguments)
    for use in (model.predict, model.score):
        with pytest.raises(ValueError, match="the Data was released"):
            use(data)
    with Executor(processes=False, n_workers=1):
        elsewhere = load(X, labels(), target="labels")
    for use in (model.predict, model.score):
        with pytest.raises(LostPartitionError, match="whose Client is closed"):
            use(elsewhere)


# Release and loss


def test_the_with_releases_all():
    executor = Executor.current()
    with load(chunked(rows()), labels(), target="labels") as data:
        assert held(data)
        LogisticRegression().fit(data)
        assert any("partition" in key for key in executor.client.run_on_scheduler(task_prefixes))
    for word in ("partition", "assemble", "summarise", "y-"):
        until_released(executor.client, word)
    assert repr(data) == data._repr_html_() == "Data: released"
    for use in (lambda: data.rows, lambda: LogisticRegression().fit(data)):
        with pytest.raises(ValueError, match="the Data was released, as at the end of its `with`"):
            use()


@pytest.mark.parametrize("cut", ["rows", "cells"])
@pytest.mark.parametrize("kind", ["memory", "dask"])
def test_an_error_that_is_kept_keeps_no_data(kind, cut):
    """Nor does it wait for the garbage collector."""
    with Executor(processes=False, n_workers=2) as executor:
        X = rows() if kind == "memory" else chunked(rows())
        model = LogisticRegression(warm_start=True, parallel="model" if cut == "cells" else "data")
        model.fit(rows()[:, :3], labels())
        kept = []
        gc.collect()
        gc.disable()
        try:
            for attempt, message in (
                (lambda: load(X, labels()[1:], target="labels", cut=cut), "23 rows, y has 22"),
                (lambda: load(X, np.r_[np.nan, target()[1:]], target="numbers", cut=cut), "NaN"),
                (lambda: load(X, labels(), -weights(), target="labels", cut=cut), "has -0.5"),
                (lambda: model.fit(X, labels()), "warm_start=True, but"),
            ):
                with pytest.raises(ValueError, match=message) as caught:
                    attempt()
                kept.append(caught)
            if cut == "rows":
                silent = Labels(class_weight={0: 0.0, 1: 1.0, 2: 1.0})
                model = LogisticRegression().fit(rows(), labels())
                with load(X, labels(), target=silent) as data:
                    with pytest.raises(ValueError, match="class_weight of 0") as caught:
                        model.score(data)
                    kept.append(caught)
            for word in ("partition", "cell", "assemble", "summarise", "array", "y-", "sample"):
                until_released(executor.client, word)
        finally:
            gc.enable()


def test_after_a_restart_data_is_loaded_again_once():
    CALLS.clear()
    with Executor(processes=False, n_workers=2) as executor:
        X = chunked(rows() / N).map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
        with load(X, np.arange(N) % 2, target="labels") as data:
            before = LogisticRegression().fit(data).coef_
            assert len(CALLS) == 5
            executor.client.restart()
            for model in (LogisticRegression(), LogisticRegression()):
                np.testing.assert_array_equal(model.fit(data).coef_, before)
            assert len(CALLS) == 10
            stopped = []

            def restart(event):
                if not stopped:
                    stopped.append(event)
                    executor.client.restart()

            model = LogisticRegression(callbacks=[restart]).fit(data)
            np.testing.assert_array_equal(model.coef_, before)
            np.testing.assert_array_equal(LogisticRegression().fit(data).coef_, before)
            assert len(CALLS) == 15


def test_what_cannot_be_loaded_again_is_named():
    with Executor(processes=False, n_workers=2) as executor:
        X = executor.client.scatter([rows()], hash=False)
        with load(X, labels(), target="labels") as data:
            executor.client.restart()
            with pytest.raises(LostPartitionError, match="partition 0 of X was lost"):
                LogisticRegression().fit(data)


def test_names_of_columns_do_not_travel():
    """Not even where what is wrong is found in the task that runs the rounds ahead."""
    names = [f"column number {i}" for i in range(D)]
    frame = pd.DataFrame(np.where(rows() == 0, np.nan, rows()), columns=names)
    sent = []

    def keep(dumps):
        def counting(*arguments, **options):
            body = dumps(*arguments, **options)
            sent.append(body if isinstance(body, bytes) else b"")
            return body

        return counting

    lazy = dd.from_pandas(frame, npartitions=1).persist()
    for X in (frame, lazy):
        for model in (LogisticRegression(), MLPClassifier((3,), random_state=0)):
            with (
                load(X, labels(), target="labels") as data,
                pytest.MonkeyPatch.context() as patch,
                pytest.raises(ValueError, match=r"column 1 \('column number 1'\)") as caught,
            ):
                patch.setattr(cloudpickle, "dumps", keep(cloudpickle.dumps))
                patch.setattr(pickle, "dumps", keep(pickle.dumps))
                model.fit(data)
            assert type(caught.value) is ValueError
    assert any(b"_Ahead" in body for body in sent)
    assert not any(b"column number" in body for body in sent)


def test_a_data_must_fit_the_estimator():
    X = rows()
    with (
        load(X, labels(), target="labels") as classes,
        load(X, target() - 1, target="numbers") as numbers,
        load(X, target(), target="numbers", cut=Cells(2)) as cells,
        load(X) as bare,
    ):
        for model, data, message in (
            (Ridge(), classes, r"with target='labels'; Ridge needs load\(X, y, target='numbers'\)"),
            (LogisticRegression(), numbers, "with target='numbers'; LogisticRegression needs"),
            (MLPRegressor(), bare, "with target=None; MLPRegressor needs"),
            (
                Ridge(),
                cells,
                r"cut='cells', for parallel='model'; Ridge needs .*'rows'",
            ),
            (Ridge(parallel="model"), numbers, "cut='rows', for parallel='data'; .*cut='cells'"),
            (Ridge(parallel="model", n_blocks=3), cells, "n_blocks=3, and X is a Data with 2"),
            (PoissonRegressor(), numbers, "HalfPoissonLoss': y has -1 in the Data"),
            (
                LogisticRegression(class_weight="balanced"),
                classes,
                r"class_weight='balanced', and X is a Data .* class_weight=None; .*Labels\(class_w",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                model.fit(data)
        for columns, name in (((labels(),), "y"), ((None, weights()), "sample_weight")):
            with pytest.raises(ValueError, match=f"X is a Data, and {name} is given beside it"):
                LogisticRegression().fit(classes, *columns)
        with pytest.raises(TypeError, match="a Data is of the process that loaded it"):
            pickle.dumps(classes)


def test_class_weights_of_the_data_count():
    with load(rows(), labels(), target=Labels(class_weight="balanced")) as data:
        expected = LogisticRegression(class_weight="balanced").fit(rows(), labels()).coef_
        for class_weight in ("balanced", None):
            model = LogisticRegression(class_weight=class_weight)
            np.testing.assert_array_equal(model.fit(data).coef_, expected)


def test_data_of_another_cluster():
    with Executor(processes=False, n_workers=1):
        data = load(rows(), labels(), target="labels")
        with Executor(processes=False, n_workers=1), pytest.raises(LostPartitionError) as caught:
            LogisticRegression().fit(data)
        assert "X is a Data on the cluster at" in str(caught.value)
    with pytest.raises(LostPartitionError, match="whose Client is closed"):
        LogisticRegression().fit(data)
    assert "23 rows" in repr(data)
    data.release()


def test_the_repr_tells_what_there_is():
    with Executor(processes=False, n_workers=2) as executor:
        assert isinstance(executor.client, Client)
        X = pd.DataFrame(rows(), columns=NAMES)
        with load(X, labels(), target="labels") as data:
            assert isinstance(data, Data)
            assert repr(data) == "Data: 23 rows x 4 columns in 1 partition on 2 workers, 736 B"
            html = data._repr_html_()
            assert "a, b, c, d" in html and "0, 1, 2" in html and "float64" in html
        with load(chunked(rows()), target(), target="numbers", cut=Cells(2)) as data:
            assert "in 5 partitions of 2 column blocks on 2 workers" in repr(data)
