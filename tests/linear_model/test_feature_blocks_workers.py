"""Where cells live changes no bits; who dies neither; and no worker is sent all coefficients."""

import os
import signal
from collections import defaultdict

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from distributed import get_worker

from daskml_exec import Executor
from daskml_exec.executor import _submission, tuned
from daskml_exec.executor._submission import Submission
from daskml_exec.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from daskml_exec.linear_model import _cell_sums as stages
from daskml_exec.linear_model import _cell_sums as sums
from tests.linear_model.oracles import features, targets
from tests.linear_model.test_same_bits import bits

N, D = 300, 6
CHUNKS = ((40, 60, 0, 100, 100), (2, 1, 3))
CASES = [
    (LogisticRegression(parallel="model"), "logistic", 2, False),
    (LogisticRegression(parallel="model", solver="lbfgs"), "logistic", 3, True),
    (PoissonRegressor(alpha=1e-3, parallel="model"), "poisson", 1, True),
    (Ridge(parallel="model"), "ridge", 1, False),
    (LinearRegression(parallel="model"), "ridge", 1, False),
]


def problem(kind, K, *, sparse=False):
    rng = np.random.default_rng(0)
    X = features(rng, N, D, sparse=sparse)
    return X, targets(rng, X, kind, K), rng.exponential(size=N)


def chunked(X):
    blocks = da.from_array(X.toarray() if sp.issparse(X) else X, chunks=CHUNKS)
    if not sp.issparse(X):
        return blocks
    return blocks.map_blocks(sp.csr_matrix, meta=sp.csr_matrix((0, 0)))


@pytest.mark.parametrize(
    ("band_bytes", "cases"),
    [pytest.param(2e6, [0, 1, 4], marks=pytest.mark.slow), (1000, [3])],
    ids=["one band", "several bands"],
)
def test_any_number_of_workers(band_bytes, cases):
    """Rows may meet in one task of each column block, or in tasks of their own."""
    found = defaultdict(set)
    workers = set()
    for n_workers in (1, 2, 4):
        with tuned(band_bytes=band_bytes), Executor(processes=False, n_workers=n_workers):
            for i in cases:
                model, kind, K, sparse = CASES[i]
                X, y, weight = problem(kind, K, sparse=sparse)
                model.fit(chunked(X), y, weight)
                found[i].add(bits(model))
                workers.add(max(record.workers for record in model.history_))
    assert workers == {1, 2, 4}
    assert {i: len(each) for i, each in found.items()} == dict.fromkeys(cases, 1)


def test_bands_change_no_bits(executor):
    model, kind, K, sparse = CASES[2]
    X, y, weight = problem(kind, K, sparse=sparse)
    found = set()
    for numbers in ({}, {"band_bytes": 1500}, {"few_columns": 2}):
        with tuned(**numbers):
            found.add(bits(model.fit(chunked(X), y, weight)))
    assert len(found) == 1


def test_the_same_cut_in_memory_and_on_the_cluster(executor):
    X, y, weight = problem("logistic", 3)
    model = LogisticRegression(parallel="model", n_blocks=3)
    with dask.config.set({"daskml-exec.partition-bytes": 100 * D * 8}):
        cut = bits(model.fit(X, y, weight))
    assert model.history_.n_partitions == 3
    for columns in (2, 6, 4):
        other = da.from_array(X, chunks=(100, columns))
        assert bits(model.fit(other, da.from_array(y, chunks=33), weight)) == cut


def test_a_killed_worker_changes_no_bits():
    """Killed between rounds, with its cells; what it held is made again elsewhere."""
    X, y, weight = problem("logistic", 3)
    given = [(chunked(X), "auto"), (X, 3)]

    def fit(data, n_blocks, callbacks=None):
        model = LogisticRegression(parallel="model", n_blocks=n_blocks, callbacks=callbacks)
        with dask.config.set({"daskml-exec.partition-bytes": 100 * D * 8}):
            return model.fit(data, y, weight)

    with Executor(processes=False, n_workers=1):
        expected = [bits(fit(*each)) for each in given]
    with Executor(n_workers=2) as executor:

        def kill(event):
            if event.record.round == 4:
                os.kill(executor.workers()[0].pid, signal.SIGKILL)

        for each, bits_alone in zip(given, expected, strict=True):
            executor.client.wait_for_workers(2)
            model = fit(*each, callbacks=[kill])
            assert bits(model) == bits_alone
            assert model.history_.workers_lost == 1
            assert model.history_.tasks_recomputed > 0


RECEIVED = defaultdict(set)
"""Per worker: index, first column and width of the column blocks that its tasks were given."""


class Watched(stages.GradientExchange):
    """Notes what each task receives."""

    def forward(self, cell, message):
        n_columns = message.coef.shape[1]
        assert cell.X.shape[1] == n_columns and message.center is None
        RECEIVED[get_worker().address].add((cell.column, cell.start, n_columns))
        return super().forward(cell, message)

    def meet(self, row, parts, common):
        assert row.X is None
        assert common.shape == (3,) and {part.shape for part in parts} == {(3, len(row.y))}
        return super().meet(row, parts, common)

    def backward(self, cell, returned, message):
        assert message is None
        RECEIVED[get_worker().address].add((cell.column, cell.start, cell.X.shape[1]))
        return super().backward(cell, returned, message)


@pytest.mark.parametrize("n_blocks", [2, 3, 6])
def test_no_worker_is_sent_all_coefficients(monkeypatch, n_blocks):
    monkeypatch.setattr(sums, "GradientExchange", Watched)
    X, y, _ = problem("logistic", 3)
    with Executor(processes=False, n_workers=2) as executor:
        RECEIVED.clear()
        model = LogisticRegression(parallel="model", n_blocks=n_blocks)
        model.fit(da.from_array(X, chunks=(100, D)), y)
        assert set(RECEIVED) == {worker.address for worker in executor.workers()}
    for received in RECEIVED.values():
        assert sum(width for _, _, width in received) < D
    every = set().union(*RECEIVED.values())
    assert sum(width for _, _, width in every) == D and len(every) == n_blocks


def test_a_round_takes_two_tasks_a_column_block(monkeypatch, executor):
    """However many row blocks there are, as long as their margins are small."""
    submitted = Submission._submitted
    numbers = []
    monkeypatch.setattr(
        Submission,
        "_submitted",
        lambda self, steps, *rest: numbers.append(len(steps)) or submitted(self, steps, *rest),
    )
    X, y, _ = problem("logistic", 2)
    LogisticRegression(parallel="model").fit(da.from_array(X, chunks=(20, 2)), y)
    assert set(numbers) <= {3, 6, 4, 8}  # a column block may be on both workers
    assert len(numbers) > 5


def test_large_coefficients_are_sent_once(monkeypatch, executor):
    model, kind, K, sparse = CASES[0]
    X, y, weight = problem(kind, K, sparse=sparse)
    expected = bits(model.fit(chunked(X), y, weight))
    shared = []
    share = _submission.share
    monkeypatch.setattr(
        _submission, "share", lambda *args, **kwargs: shared.append(1) or share(*args, **kwargs)
    )
    with tuned(grid_literals_bytes=0):
        assert bits(model.fit(chunked(X), y, weight)) == expected
    assert len(shared) == 3 * (len(model.history_) - 1)
