"""The Executor, its worker processes, and the command line, once each."""

import operator
import os
import signal

import numpy as np
import pytest
from sklearn.datasets import load_iris

from daskml_exec import Executor
from daskml_exec.cli import main
from daskml_exec.linear_model import LogisticRegression, Ridge
from daskml_exec.neural_network import MLPClassifier
from tests.estimator_kit import collection
from tests.linear_model.toolbox import as_dask

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module", autouse=True)
def executor():
    with Executor(n_workers=2) as executor:
        yield executor


def bits(model):
    return model.coef_.tobytes() + model.intercept_.tobytes()


def test_submit_map_run_and_reduce(executor):
    assert executor.submit(pow, 2, 3).result(30) == 8
    assert list(executor.map(pow, range(5), [2] * 5, timeout=30)) == [0, 1, 4, 9, 16]
    job = executor.run(abs, range(-4, 4), name="magnitudes")
    assert executor.reduce(job, operator.add).result() == sum(job.results()) == 16
    with pytest.raises(ZeroDivisionError):
        executor.submit(divmod, 1, 0).result(30)


def test_what_there_is(executor):
    assert len(executor.check_workers()) == 2
    assert "2 workers" in repr(executor) and executor._repr_html_()
    assert {worker.threads for worker in executor.workers()} == {1}


@pytest.mark.parametrize("parallel", ["data", "model"])
def test_a_killed_worker_changes_no_bit(executor, parallel):
    """Its Nanny starts another one, for the tests that follow."""
    X, y = load_iris(return_X_y=True)

    def kill(event):
        if event.record.round == 1:
            os.kill(executor.workers()[0].pid, signal.SIGKILL)

    def fit(callbacks):
        if parallel == "data":
            model = LogisticRegression(solver="lbfgs", callbacks=callbacks)
            return bits(model.fit(as_dask(X), y))
        model = Ridge(solver="lbfgs", parallel="model", callbacks=callbacks)
        return bits(model.fit(collection(X), collection(y)))

    undisturbed = fit([])
    assert fit([kill]) == undisturbed


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:the partition that a row is in:UserWarning",
)
@pytest.mark.parametrize("parallel", ["data", "model", "hybrid"])
def test_networks_in_every_strategy(parallel):
    X, y = load_iris(return_X_y=True)
    options = {} if parallel == "data" else {"n_blocks": 2}
    model = MLPClassifier((8,), max_iter=3, random_state=0, parallel=parallel, **options)
    assert np.isfinite(model.fit(collection(X), collection(y)).score(X, y))


def test_the_command_line(digits_libsvm, tmp_path, capsys):
    saved = tmp_path / "model.safetensors"
    options = f"--partitions 4 --workers 2 --tol 1e-3 --save {saved}"
    assert main(["train", str(digits_libsvm), *options.split()]) == 0
    assert "1,437 rows x 64 features" in capsys.readouterr().out
    assert saved.exists()
