"""Orders of a step with blocks of the output layer, and which Workers have them."""

import itertools

import pytest

from daskml_exec.torch.pipeline._order import Action, actions
from daskml_exec.torch.pipeline._output import rows_in_blocks
from daskml_exec.torch.pipeline._units import owners_with_blocks

CASES = list(itertools.product(["1f1b", "gpipe"], [1, 3], [2, 5], [1, 2, 7], [1, 2, 3, 8]))


def places_of(n_stages, n_blocks, n_workers):
    owners = owners_with_blocks([1.0] * (n_stages + n_blocks), n_blocks, 1, n_workers)
    return (*owners, owners[n_stages - 1])


def needed(action, n_stages, n_blocks):
    """What is to be done before."""
    blocks, join = range(n_stages, n_stages + n_blocks), n_stages + n_blocks
    before = {(action.stage, False)} if action.back else set()
    if action.stage == join:
        before |= {(block, False) for block in blocks}
    elif action.stage in blocks:
        before.add((join if action.back else n_stages - 1, False))
    elif action.back:
        following = blocks if action.stage == n_stages - 1 else [action.stage + 1]
        before |= {(each, True) for each in following}
    elif action.stage:
        before.add((action.stage - 1, False))
    return {Action(stage, action.micro_batch, back) for stage, back in before}


@pytest.mark.parametrize(("order", "n_stages", "n_blocks", "n", "n_workers"), CASES)
def test_each_worker_does_its_part_and_all_come_to_an_end(order, n_stages, n_blocks, n, n_workers):
    places = places_of(n_stages, n_blocks, n_workers)
    found = actions((places,), (n,), order, n_blocks)
    expected = {
        Action(place, i, back)
        for place in range(len(places))
        for i in range(n)
        for back in ((False,) if place == len(places) - 1 else (False, True))
    }
    assert len(found) == len(expected) and set(found) == expected
    rest = {
        worker: [each for each in found if places[each.stage] == worker] for worker in set(places)
    }
    done = set()
    while any(rest.values()):
        ready = [
            worker
            for worker, left in rest.items()
            if left and needed(left[0], n_stages, n_blocks) <= done
        ]
        assert ready  # else all wait for one another
        for worker in ready:
            done.add(rest[worker].pop(0))


@pytest.mark.parametrize(("order", "n_stages", "n_blocks", "n", "n_workers"), CASES)
def test_what_is_kept_and_in_which_order(order, n_stages, n_blocks, n, n_workers):
    places = places_of(n_stages, n_blocks, n_workers)
    alive = dict.fromkeys(range(n_stages + n_blocks), 0)
    most = dict(alive)
    seen = {}
    for action in actions((places,), (n,), order, n_blocks):
        seen.setdefault((action.stage, action.back), []).append(action.micro_batch)
        if action.stage in alive:
            alive[action.stage] += -1 if action.back else 1
            most[action.stage] = max(most[action.stage], alive[action.stage])
    assert all(each == list(range(n)) for each in seen.values())  # gradients are added so
    assert set(alive.values()) == {0}
    for place, kept in most.items():
        limit = 2 if place >= n_stages else n_stages - place + 2
        assert kept == (n if order == "gpipe" else min(n, limit))


@pytest.mark.parametrize("n_workers", [1, 2, 3, 4, 7])
def test_blocks_are_on_as_many_workers_as_there_are(n_workers):
    for n_blocks, n_replicas in itertools.product([2, 3, 6], [1, 2]):
        owners = owners_with_blocks([5.0, 1.0] + [2.0] * n_blocks, n_blocks, n_replicas, n_workers)
        n = 2 + n_blocks
        assert len(owners) == n * n_replicas and max(owners) < n_workers
        for replica in range(n_replicas):
            blocks = owners[replica * n + 2 : (replica + 1) * n]
            assert len(set(blocks)) == min(n_blocks, n_workers)


def test_blocks_go_to_who_has_least_to_do():
    assert owners_with_blocks([3.0, 2.0, 2.0, 2.0, 2.0], 4, 1, 2) == (0, 1, 1, 0, 1)
    assert owners_with_blocks([9.0, 1.0, 1.0], 2, 1, 2) == (0, 0, 1)


def test_rows():
    for n, n_blocks in [(2, 2), (7, 3), (32_000, 7)]:
        rows = rows_in_blocks(n, n_blocks)
        assert rows[0][0] == 0 and rows[-1][1] == n
        assert all(a[1] == b[0] for a, b in itertools.pairwise(rows))
        sizes = [stop - start for start, stop in rows]
        assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
