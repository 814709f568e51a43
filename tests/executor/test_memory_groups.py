"""Groups are cut so that a task does not load more than a share of its worker's memory."""

import dask
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import RoundRunner
from daskml_exec.executor._groups import Group, cut_groups
from tests.executor.rounds import add, arrays, nbytes, parenthesise, placed


@pytest.mark.parametrize(
    ("sizes", "indices"),
    [
        ([4, 4, 4, 4], [[0, 1], [2, 3]]),
        ([20, 1, 1, 20], [[0], [1, 2], [3]]),  # one partition at least
        ([1, 1, 1, 1], [[0, 1, 2, 3]]),
        ([0, 0, 0, 0], [[0, 1, 2, 3]]),
    ],
)
def test_cuts(sizes, indices):
    cut = cut_groups([Group("a", [0, 1, 2, 3])], sizes, {"a": 10.0})
    assert cut == [Group("a", part) for part in indices]


def test_only_where_a_limit_is_known():
    groups = [Group("a", [0, 1]), Group(None, [2]), Group("came since", [3, 4])]
    assert cut_groups(groups, [50] * 5, {"a": None}) == groups


def name_of(partition, message):
    return f"{int(partition[0])}"


def name_with_carry(partition, message, carry):
    return f"{int(partition[0])}", partition


def test_a_round_of_cut_groups():
    """The bits are those of whole groups; each worker has several tasks."""
    # The limit is held against this process, which may have grown beyond it: none shall pause.
    unwatched = {f"distributed.worker.memory.{at}": False for at in ("target", "spill", "pause")}
    with (
        dask.config.set(unwatched),
        Executor(n_workers=2, processes=False, memory_limit="1GB") as executor,
    ):
        futures = placed(executor, arrays(9), lambda i: i % 2)
        whole = RoundRunner(executor, futures, nbytes, 0)
        cut = RoundRunner(executor, futures, nbytes, 0, [140_000_000] * 9)
        outcome = cut.run(name_of, None, parenthesise, name="cut")
        assert outcome.total == whole.run(name_of, None, parenthesise, name="whole").total
        assert [len(group.indices) for group in whole._groups] == [5, 4]
        assert [len(group.indices) for group in cut._groups] == [2, 2, 1, 2, 2]
        assert 1 <= len(outcome.seconds_by_worker) <= 2
        for last in (False, False, True):
            carrying = cut.run_carrying(name_with_carry, None, parenthesise, name="c", last=last)
            assert carrying.total == outcome.total


PARTITIONS, ROWS = 30, 6_250_000  # of 50 MB


def make(index):
    return np.full(ROWS, float(index))


def dot(partition, message):
    return float(partition[:1000].sum()) * message


@pytest.mark.slow
def test_data_larger_than_a_workers_memory_streams_through_it():
    with Executor(n_workers=1, memory_limit="1GB") as executor:
        client = executor.client
        futures = client.map(make, range(PARTITIONS), pure=False)
        sizes = [ROWS * 8] * PARTITIONS
        rounds = RoundRunner(executor, futures, nbytes, 0, sizes)
        before = executor.workers()[0].pid
        for message in (1.0, 2.0, 3.0):
            outcome = rounds.run(dot, message, add, name="stream")
            assert outcome.total == 1000 * message * sum(range(PARTITIONS))
            assert (outcome.workers_lost, outcome.tasks_recomputed) == (0, 0)
        assert max(len(group.indices) for group in rounds._groups) <= 6
        assert executor.workers()[0].pid == before
