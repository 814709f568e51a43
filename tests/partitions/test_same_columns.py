"""Every way in compares the columns of each partition, and a model travels once."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from distributed import Client
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import Executor
from daskml_exec.executor import LostPartitionError
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.neural_network import MLPClassifier
from daskml_exec.partitions import map_rows

N = 40
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=list("abc"))
LABELS = (FRAME["a"] > 0).astype(int).to_numpy()
MIXED = [FRAME[:20], FRAME[20:][["c", "b", "a"]]]


def model_of(columns):
    rows = FRAME if columns else FRAME.to_numpy()
    return LogisticRegression().fit(rows, LABELS)


def mixed_frame(executor):
    return dd.from_map(lambda index: MIXED[index], [0, 1], meta=FRAME[:0])


def mixed_futures(executor):
    return executor.client.scatter(MIXED, hash=False)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", [mixed_frame, mixed_futures])
@pytest.mark.filterwarnings("ignore:X has feature names")
def test_partitions_whose_columns_differ_are_refused(executor, kind, named):
    model, X = model_of(named), kind(executor)
    calls = [lambda: model.score(X, LABELS), lambda: LogisticRegression().fit(X, LABELS)]
    for method in (model.predict, model.predict_proba, model.decision_function):
        calls.append(lambda method=method: computed(method(X)))
    if kind is mixed_frame:
        calls.append(lambda: LogisticRegression(parallel="model").fit(X, LABELS))
    for call in calls:
        with pytest.raises(ValueError, match=r"\['c', 'b', 'a'\]"):
            call()


def computed(result):
    return [part.result() for part in result] if isinstance(result, list) else result.compute()


@pytest.mark.parametrize("chunks", [(1, 0, 0), (0, 1), (0, 0)])
def test_one_row_beside_empty_chunks(chunks):
    X, n = FRAME.to_numpy()[: sum(chunks)], sum(chunks)
    for columns in ((3,), (1, 2)):
        lazy = da.from_array(X, chunks=(chunks, columns))
        model = model_of(False)
        assert model.predict(lazy).compute(scheduler="synchronous").shape == (n,)
        assert model.predict_proba(lazy).compute(scheduler="synchronous").shape == (n, 2)
        assert model.predict(lazy).chunks == (chunks,)


@pytest.mark.parametrize("chunks", [(20, 3), (20, 1)])
def test_a_number_of_columns_that_is_not_known(executor, chunks):
    X = da.from_array(FRAME.to_numpy(), chunks=chunks)
    unknown = X.map_blocks(lambda b: b, chunks=(X.chunks[0], (np.nan,) * len(X.chunks[1])))
    model = model_of(False)
    assert (model.predict(unknown).compute() == model.predict(FRAME.to_numpy())).all()
    assert model.predict_proba(unknown).compute().shape == (N, 2)
    assert model.score(unknown, LABELS) == model.score(X, LABELS)
    with pytest.raises(ValueError, match="X has 3 features, but LogisticRegression is expecting 2"):
        LogisticRegression().fit(FRAME.to_numpy()[:, :2], LABELS).predict(unknown).compute()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["array", "columns", "sparse", "frame"])
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_a_model_is_one_node_of_the_graph(kind, method):
    X = np.random.default_rng(0).normal(size=(N, 50))
    with pytest.warns(ConvergenceWarning):
        model = MLPClassifier((200,), max_iter=1, random_state=0).fit(X, X[:, 0] > 0)
    nbytes = sum(layer.nbytes for layer in model.coefs_)
    chunks = da.from_array(X, chunks=(4, 25 if kind == "columns" else 50))
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=10)
    rows = {"frame": frame, "sparse": chunks.map_blocks(sp.csr_matrix)}.get(kind, chunks)
    lazy = getattr(model, method)(rows)
    sent = pickled(lazy.__dask_graph__()) - pickled(rows.__dask_graph__())
    assert nbytes < sent < 1.5 * nbytes
    # Nothing of a cluster is needed, then or later.
    found = np.asarray(lazy.compute(scheduler="synchronous"))
    np.testing.assert_allclose(found, getattr(model, method)(X), rtol=1e-12)


def pickled(graph):
    import cloudpickle

    return len(cloudpickle.dumps(dict(graph)))


def test_predictions_outlive_the_executor_and_go_to_another_client():
    X = FRAME.to_numpy()
    with Executor(processes=False, n_workers=1):
        model = LogisticRegression().fit(X, LABELS)
        lazy = model.predict(da.from_array(X, chunks=(10, 3)))
        frame = model_of(True).predict(dd.from_pandas(FRAME, npartitions=2))
    expected = model.predict(X)
    assert (lazy.compute(scheduler="synchronous") == expected).all()
    with Executor(processes=False, n_workers=1) as other:
        assert (lazy.compute() == expected).all()
        assert (other.client.compute(frame).result() == expected).all()


def test_data_of_another_client_is_named_as_that(executor):
    X = FRAME.to_numpy()
    model = Ridge().fit(X, LABELS)
    with Executor(processes=False, n_workers=1) as other:
        held = {
            "futures": other.client.scatter([X[:20], X[20:]], hash=False),
            "persisted": other.client.persist(da.random.random((N, 3), chunks=(20, 3))),
        }
        held_y = other.client.persist(da.ones(N, chunks=20) * 3)
        address = other.client.scheduler.address
        with Executor(executor.client) as here:
            there = f"on the cluster at {here.client.scheduler.address}"
            for rows in held.values():
                for call in (Ridge().fit, model.score):
                    with pytest.raises(
                        LostPartitionError, match=f"X was .* another Client.*{address}.*{there}"
                    ):
                        call(rows, LABELS)
            with pytest.raises(LostPartitionError, match="y was persisted through another Client"):
                Ridge().fit(da.from_array(X, chunks=(20, 3)), held_y)
            assert np.isfinite(Ridge().fit(X, held_y).coef_).all()  # which comes to the driver
            # Futures are predicted where they are.
            found = [part.result() for part in model.predict(held["futures"])]
            np.testing.assert_allclose(np.concatenate(found), model.predict(X))
        second = Client(other.client.scheduler.address, set_as_default=False)
        with second, Executor(second):
            Ridge().fit(held["futures"], LABELS)  # another Client of the same cluster
    for call in (
        lambda: Ridge().fit(held["futures"], LABELS),
        lambda: model.predict(held["futures"]),
    ):
        with Executor(executor.client), pytest.raises(LostPartitionError, match="Client is closed"):
            call()
    with Executor(executor.client), pytest.raises(LostPartitionError, match="Client is closed"):
        model.predict(held["persisted"])


def test_futures_that_were_cancelled_are_not_predicted(executor):
    X = executor.client.scatter([FRAME[:20], FRAME[20:]], hash=False)
    executor.client.cancel([X[1]])
    with pytest.raises(LostPartitionError, match="partition 1 of X was lost"):
        map_rows(len, X, meta=np.empty(0))
