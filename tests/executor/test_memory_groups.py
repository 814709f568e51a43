"""Groups are cut so that a task does not load more than a share of its worker's memory."""

import math
from dataclasses import dataclass

import dask
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.executor import Capacity, Query, RoundRunner, fold_group
from daskml_exec.executor._groups import Group, cut_groups
from tests.executor.rounds import Ask, AskCarrying, arrays, nbytes, parenthesise, placed


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
        outcome = cut.run(Ask(name_of, None, parenthesise), name="cut")
        assert outcome.total == whole.run(Ask(name_of, None, parenthesise), name="whole").total
        assert [len(group.indices) for group in whole._submission.groups] == [5, 4]
        assert [len(group.indices) for group in cut._submission.groups] == [2, 2, 1, 2, 2]
        assert 1 <= len(outcome.seconds_by_worker) <= 2
        for last in (False, False, True):
            carrying = cut.run(AskCarrying(name_with_carry, None, last, parenthesise), name="c")
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
            outcome = rounds.run(Ask(dot, message), name="stream")
            assert outcome.total == 1000 * message * sum(range(PARTITIONS))
            assert (outcome.workers_lost, outcome.tasks_recomputed) == (0, 0)
        assert max(len(group.indices) for group in rounds._submission.groups) <= 6
        assert executor.workers()[0].pid == before


@dataclass(frozen=True)
class Wide(Query):
    """Answers with a vector of so many bytes."""

    nbytes: int

    def partial(self, partition):
        return np.zeros(self.nbytes // 8)


@pytest.mark.parametrize(("n", "held"), [(1, 1), (2, 3)])
def test_answers_have_room(n, held):
    """Of one answer there is one; of two there is their sum, too."""
    just_enough = math.ceil(held * 8000 / 0.8)
    for limit in (0, just_enough):
        found = fold_group(Wide(8000), range(n), arrays(n), n, nbytes, capacity=Capacity(limit))
        assert found.largest == 8000
    with pytest.raises(ValueError, match=f"and {held} of that size"):
        fold_group(Wide(8000), range(n), arrays(n), n, nbytes, capacity=Capacity(just_enough - 2))


def test_an_answer_that_has_no_room_is_an_error_and_no_killed_worker():
    said = (
        r"to Wide takes 160 MB, and 3 of that size .* memory_limit of 500 MB answers may take 400"
    )
    with Executor(n_workers=1, memory_limit="500MB") as executor:
        before = executor.workers()[0].pid
        rounds = RoundRunner(executor, placed(executor, arrays(2), lambda i: 0), nbytes, 0)
        with pytest.raises(ValueError, match=said):
            rounds.run(Wide(160_000_000), name="wide")
        assert rounds.run(Wide(8000), name="narrow").retries == 0
        assert executor.workers()[0].pid == before
