"""Orders of a step: nobody waits for ever, and nobody keeps more than it may."""

import itertools

import pytest

from daskml_exec.torch.pipeline._order import Action, actions, actions_of
from daskml_exec.training import owners_of

CASES = list(itertools.product(["1f1b", "gpipe"], [2, 3, 5], [1, 2, 4, 9], [1, 2, 3, 5]))


@pytest.mark.parametrize(("order", "n_stages", "n", "n_workers"), CASES)
def test_each_worker_does_its_part_and_all_come_to_an_end(order, n_stages, n, n_workers):
    owners = owners_of(n_stages, n_workers)
    found = actions((owners,), (n,), order)
    assert sorted(found, key=str) == sorted(
        (
            Action(stage, i, back)
            for stage in range(n_stages)
            for i in range(n)
            for back in (False, True)
        ),
        key=str,
    )
    rest = {
        worker: [each for each in found if owners[each.stage] == worker] for worker in set(owners)
    }
    done = set()
    while any(rest.values()):
        ready = [
            worker for worker, left in rest.items() if left and needed(left[0], n_stages) <= done
        ]
        assert ready  # else all wait for one another
        for worker in ready:
            done.add(rest[worker].pop(0))


def needed(action, n_stages):
    """What is to be done before."""
    before = {Action(action.stage, action.micro_batch, False)} if action.back else set()
    stage = action.stage + (1 if action.back else -1)
    if 0 <= stage < n_stages:
        before.add(Action(stage, action.micro_batch, action.back))
    return before


@pytest.mark.parametrize(("order", "n_stages", "n", "n_workers"), CASES)
def test_what_stages_keep(order, n_stages, n, n_workers):
    alive = dict.fromkeys(range(n_stages), 0)
    most = dict(alive)
    for action in actions((owners_of(n_stages, n_workers),), (n,), order):
        alive[action.stage] += -1 if action.back else 1
        most[action.stage] = max(most[action.stage], alive[action.stage])
    assert set(alive.values()) == {0}
    assert most == {
        stage: n if order == "gpipe" else min(n, n_stages - stage) for stage in range(n_stages)
    }


@pytest.mark.parametrize("order", ["1f1b", "gpipe"])
def test_micro_batches_go_in_their_order(order):
    """Gradients are added in the order in which they come."""
    for back in (False, True):
        found = [each.micro_batch for each in actions_of(1, 3, 6, order) if each.back == back]
        assert found == list(range(6))
