"""Blocks that are asked where they are: the same answers, without tasks of their own."""

from dataclasses import dataclass

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from distributed import wait
from numpy.testing import assert_array_equal

from daskml_exec import Executor
from daskml_exec.partitions import NO_TARGET, ROWS, WHERE_THEY_ARE, load_checked
from daskml_exec.preprocessing import MinMaxScaler, StandardScaler
from daskml_exec.training import Query, reduce

X = np.random.default_rng(0).normal(size=(90, 3))
CUTS = (30, 0, 45, 15)


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@dataclass(frozen=True)
class Places(Query):
    """Asks of each partition its index, its first row, and its rows."""

    def partial(self, partition):
        return [(partition.index, partition.start, partition.X.tolist(), partition.y)]

    def combine(self, left, right):
        return [*left, *right]


def loaded(executor, X, cut, weight=None):
    return load_checked(executor, X, None, weight, target=NO_TARGET, cut=cut, raw=True)


def lazy(values=X, cuts=CUTS):
    return da.from_array(values, chunks=(cuts, values.shape[1]))


def test_the_same_partitions(executor):
    answers, facts = [], []
    for cut in (ROWS, WHERE_THEY_ARE):
        with loaded(executor, lazy(), cut) as data:
            answers.append(reduce(Places(), data.partitions))
            facts.append((data.rows, data.n_features, data.nbytes, data.feature_names))
    assert answers[0] == answers[1]
    assert facts[0] == facts[1]


@pytest.mark.parametrize(
    "data",
    [
        lazy().map_blocks(sp.csr_matrix),
        lazy().astype(object),
        lazy().rechunk((30, 2)),
        lazy()[lazy()[:, 0] > 0],
        lazy().to_dask_dataframe(columns=["a", "b", "c"]),
    ],
    ids=["sparse", "objects", "columns", "unknown", "frame"],
)
def test_other_collections_are_loaded(executor, data):
    with loaded(executor, data, WHERE_THEY_ARE) as found:
        assert found.partitions.opened is None
    with loaded(executor, lazy(), WHERE_THEY_ARE, da.ones(90, chunks=(CUTS,))) as found:
        assert found.partitions.opened is None


def test_no_tasks_but_those_that_ask():
    # On a cluster of its own: what other tests leave would be released in between.
    with Executor(processes=False, n_workers=1) as executor:
        rows = executor.client.persist(lazy())
        wait(rows)
        before = executor.client.run_on_scheduler(_tasks)
        MinMaxScaler().fit(rows)
        after = executor.client.run_on_scheduler(_tasks)
    assert {name for name in after if after[name] != before.get(name)} == {"MinMaxScaler-summaries"}


def _tasks(dask_scheduler):
    return {
        name: sum(prefix.state_counts.values())
        for name, prefix in dask_scheduler.task_prefixes.items()
    }


def test_what_the_user_persisted_stays(executor):
    rows = executor.client.persist(lazy())
    expected = StandardScaler().fit(X).mean_
    for _ in range(2):
        assert_array_equal(StandardScaler().fit(rows).mean_, StandardScaler().fit(lazy()).mean_)
    assert StandardScaler().fit(rows).mean_ == pytest.approx(expected, rel=1e-12)
    assert_array_equal(rows.compute(), X)


@pytest.mark.parametrize(
    "wrong",
    [lambda block: block[:, :2], lambda block: block[:-1], lambda block: block[:, 0]],
    ids=["columns", "rows", "dimensions"],
)
def test_blocks_that_are_not_what_dask_was_told(executor, wrong):
    last = lazy().map_blocks(
        lambda block, block_info=None: (
            wrong(block) if block_info[0]["chunk-location"][0] == 2 else block
        ),
        dtype=float,
        meta=np.empty((0, 0)),
    )
    with pytest.raises(ValueError, match=r"partition 2 of X has the shape .* says \(45, 3\)"):
        MinMaxScaler().fit(last)
