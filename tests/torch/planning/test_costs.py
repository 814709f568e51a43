"""What ways to train would take, by arithmetic alone."""

from dataclasses import replace

import pytest

from daskml_exec.torch.pipeline._plan import PipelinePlan
from daskml_exec.torch.planning import _seconds
from daskml_exec.torch.planning._choice import Way, choose
from daskml_exec.torch.planning._memory import (
    IDLE_BYTES,
    MOST,
    data_memory,
    held_bytes,
    pipeline_memory,
)
from daskml_exec.torch.planning._seconds import (
    Rates,
    average_seconds,
    data_seconds,
    partitions_of_workers,
    pipeline_seconds,
    step_seconds,
)
from daskml_exec.torch.planning._seen import Cluster, PartSeen, StepSeen, in_stages, joined
from daskml_exec.training.averaging import batching
from daskml_exec.training.groups._replicas import partitions_of_replicas

FREE = Rates(0, 1e30, 0, 0, 0, 0, 0, 1e30, 0, 1e30)
M = 1_000_000


def part(forth=1e-3, back=2e-3, weights=1000, passed=400.0, saved=None):
    """Return a part whose seconds are of 8 samples."""
    return PartSeen(
        (forth,), (back,), weights, weights, passed, passed, {1: 800.0} if saved is None else saved
    )


def step(*parts, update=0.0, copies=2):
    parameters = sum(each.trained for each in parts)
    return StepSeen((8,), tuple(parts), update, parameters, copies * parameters)


def plan_of(rows, batch, n_replicas=1, sync=None):
    return PipelinePlan(
        tuple(rows), tuple(rows), batch, None, partitions_of_replicas(rows, n_replicas), sync
    )


def shared(rows, batch, sync="auto"):
    return batching(rows, batch, sync, linear_scaling=False, least=1)


def one_step(parts, owners, *, micro_batches=4, order="1f1b", rates=FREE, update=0.0, **options):
    seen = step(*parts, update=update)
    options = {"n_samples": 8.0 * micro_batches, "recompute": False, **options}
    return step_seconds(
        seen, parts, owners, micro_batches=micro_batches, order=order, rates=rates, **options
    )


@pytest.mark.parametrize("order", ["1f1b", "gpipe"])
@pytest.mark.parametrize(("n_stages", "micro_batches"), [(2, 1), (2, 4), (3, 4), (4, 8)])
def test_even_stages_take_the_slowest_and_what_begins_and_ends(order, n_stages, micro_batches):
    parts = [part() for _ in range(n_stages)]
    found = one_step(parts, range(n_stages), micro_batches=micro_batches, order=order)
    assert found == pytest.approx(3e-3 * (micro_batches + n_stages - 1))


def test_the_slowest_stage_counts():
    fast, slow = part(1e-4, 2e-4), part(1e-3, 2e-3)
    found = one_step([fast, slow], (0, 1), micro_batches=16)
    assert found == pytest.approx(16 * 3e-3, rel=0.03)


def test_stages_of_one_worker_share_it():
    parts = [part() for _ in range(3)]
    assert one_step(parts, (0, 0, 0)) == pytest.approx(4 * 9e-3)
    assert 4 * 6e-3 <= one_step(parts, (0, 0, 1)) <= 4 * 6e-3 + 3e-3


def test_going_forwards_twice_takes_a_third_more():
    parts = [part() for _ in range(2)]
    assert one_step(parts, (0, 0), recompute=True) == pytest.approx(4 * (1 + 3 + 0 + 3) * 1e-3)


def test_what_travels_counts_between_workers_alone():
    rates = replace(FREE, message_seconds=1e-3, message_bytes=1e9)
    parts = [part(passed=125_000.0) for _ in range(2)]  # a megabyte of 8 samples
    together, apart = (one_step(parts, owners, rates=rates) for owners in ((0, 0), (0, 1)))
    assert together == pytest.approx(4 * 6e-3)
    least = one_step(parts, (0, 1))
    # The first way forwards and the last way back are waited for, and others delay who sends.
    assert least + 4 * 2e-3 <= apart <= least + 16 * 2e-3


def test_an_update_is_of_the_weights_of_a_worker():
    parts = [part(weights=3000), part(weights=1000)]
    alone = one_step(parts, (0, 1))
    assert one_step(parts, (0, 1), update=4e-3) == pytest.approx(alone + 3e-3)


def test_samples_between_those_tried():
    seen = StepSeen((2, 8), (part(),), 0.0, 1, 1)
    assert seen.seconds((1.0, 3.0), 8) == 3.0
    assert seen.seconds((1.0, 3.0), 5) == 2.0
    assert seen.seconds((1.0, 3.0), 16) == 6.0
    assert seen.seconds((1.0, 3.0), 1) == 1.0


def test_partitions_of_one_worker_follow_one_another():
    assert partitions_of_workers(5, 2) == [range(3), range(3, 5)]
    seen = step(part())
    rows = [80] * 4
    one, two, four, eight = (
        data_seconds(seen, shared(rows, 32, "epoch"), Cluster(n)) for n in (1, 2, 4, 8)
    )
    assert one > two > four == eight


def test_rounds_cost_by_what_they_move():
    few, many = (shared([8000, 8000], 16, sync) for sync in (1000, 10))
    small, large = step(part(weights=1000)), step(part(weights=40 * M))
    more = {
        name: data_seconds(seen, many, Cluster(2)) - data_seconds(seen, few, Cluster(2))
        for name, seen in {"small": small, "large": large}.items()
    }
    assert more["large"] > 5 * more["small"] > 0
    kept = data_seconds(large, many, Cluster(2), moments_travel=False)
    assert kept < data_seconds(large, many, Cluster(2))
    assert data_seconds(large, many, Cluster(2, one_machine=False)) > data_seconds(
        large, many, Cluster(2)
    )


def every_way(parts, rows, batch, n_workers, *, sync=16, micro_batches=4, **arguments):
    """Return the seconds of each way, in as many stages as there are Workers for a replica."""
    seen, cluster = step(*parts, **arguments), Cluster(n_workers)
    found = {"data": data_seconds(seen, shared(rows, batch, sync), cluster)}
    for parallel, n_replicas in (("pipeline", 1), ("hybrid", 2)):
        n = max(2, n_workers // n_replicas)
        begins = [i * len(parts) // n for i in range(n)]
        plan = plan_of(rows, batch // n_replicas, n_replicas, sync if n_replicas > 1 else None)
        found[parallel] = pipeline_seconds(
            seen,
            in_stages(parts, begins),
            plan,
            cluster,
            micro_batches=micro_batches,
            order="1f1b",
            recompute=False,
        )
    return found


def fastest(found):
    return min(found, key=found.get)


def test_small_modules_with_much_to_compute_go_in_copies():
    found = every_way([part(5e-3, 1e-2)] * 4, [3200, 3200], 64, 2)
    assert fastest(found) == "data"
    # Two Workers halve it; a pipeline waits at the begin and the end of each step.
    assert found["pipeline"] > 1.15 * found["data"]


def test_large_modules_with_little_to_compute_go_in_stages():
    """Copies all make the whole update, and all of it travels in each round."""
    parts = [part(2e-3, 4e-3, weights=20 * M)] * 4
    found = every_way(parts, [3200, 3200], 64, 2, sync=4, update=0.05)
    assert fastest(found) == "pipeline" and found["data"] > 1.5 * found["pipeline"]


def test_more_workers_than_partitions_go_in_replicas_of_stages():
    found = every_way([part(5e-3, 1e-2)] * 4, [3200, 3200], 64, 4, sync=50)
    assert fastest(found) == "hybrid"


def test_one_worker_gains_nothing_by_stages():
    seen, rows = step(*[part()] * 4), [3200]
    whole = data_seconds(seen, shared(rows, 64), Cluster(1))
    stages = pipeline_seconds(
        seen,
        in_stages(seen.parts, (0, 2)),
        plan_of(rows, 64),
        Cluster(1),
        micro_batches=4,
        order="1f1b",
        recompute=False,
    )
    assert whole < stages


def test_an_average_moves_what_is_on_other_workers():
    rates = replace(FREE, message_bytes=1e6)
    parts = [part(weights=1000), part(weights=1000)]
    seen = step(*parts)
    assert average_seconds(seen, parts, (0, 1, 0, 1), 2, rates) == pytest.approx(0, abs=1e-9)
    assert average_seconds(seen, parts, (0, 1, 2, 3), 2, rates) == pytest.approx(2 * 3000 / 1e6)


def test_neighbours_that_keep_the_same_count_it_once():
    parts = [part(saved={1: 8.0, 2: 8.0}), part(saved={2: 8.0, 3: 4.0})]
    assert sum(joined(parts).saved.values()) == 20.0
    assert [sum(each.saved.values()) for each in in_stages(parts, (0, 1))] == [16.0, 12.0]


# Memory


def needed(parts, n_workers, *, n_replicas=1, order="1f1b", recompute=False, row_nbytes=0.0):
    seen = step(*parts)
    return pipeline_memory(
        seen,
        parts,
        plan_of([320] * 4, 32, n_replicas),
        Cluster(n_workers),
        row_nbytes=row_nbytes,
        micro_batches=4,
        order=order,
        recompute=recompute,
    )


def test_stages_need_less_than_a_copy():
    parts = [part(weights=40 * M)] * 4
    seen = step(*parts)
    whole = data_memory(seen, shared([320] * 4, 32), Cluster(2), row_nbytes=0.0) - IDLE_BYTES
    halves = in_stages(parts, (0, 2))
    on_one, on_two = (needed(halves, n) - IDLE_BYTES for n in (1, 2))
    assert on_two <= 0.7 * on_one < 0.7 * whole
    assert needed(halves, 4) - IDLE_BYTES == on_two
    assert needed(halves, 2, n_replicas=2) - IDLE_BYTES > 1.4 * on_two


def test_what_is_alive_depends_on_the_order():
    parts = [part(weights=0, saved={s: 1e7}) for s in range(3)]
    one, all_of_them, again = (
        needed(parts, 3, **arguments) for arguments in ({}, {"order": "gpipe"}, {"recompute": True})
    )
    assert all_of_them - one == pytest.approx(8 * 1e7)  # four micro-batches, not three
    assert one - again > 1.9 * 8e7


def test_the_best_weights_are_kept_beside_the_last_ones():
    parts = [part(weights=40 * M)] * 2
    plan, about = plan_of([320] * 4, 32), {"row_nbytes": 0.0, "micro_batches": 4}
    last, both = (
        pipeline_memory(
            step(*parts),
            parts,
            plan,
            Cluster(2),
            order="1f1b",
            recompute=False,
            keeps_best=keeps_best,
            **about,
        )
        for keeps_best in (False, True)
    )
    assert both - last == 40 * M


def test_samples_that_are_held():
    assert held_bytes([100, 300], 10.0, Cluster(2), 2) == 3000
    assert held_bytes([100, 300], 10.0, Cluster(1), 1) == 4000
    # Of more than a task may load at once some are on disk.
    assert held_bytes([100] * 40, 10.0, Cluster(1, memory_limit=10_000), 1) == 3000


# The choice


def ways(**seconds):
    return [Way(name, seconds=each, memory=100) for name, each in seconds.items()]


def test_the_fastest_is_chosen_and_of_nearly_equal_ones_the_first():
    assert choose(ways(data=1.0, pipeline=0.9, hybrid=2.0)).parallel == "pipeline"
    assert choose(ways(data=1.0, pipeline=0.97, hybrid=2.0)).parallel == "data"
    assert choose(ways(data=2.0, pipeline=1.5, hybrid=1.0)).parallel == "hybrid"


def test_what_does_not_fit_is_not_chosen():
    limit = 1000
    data = Way("data", seconds=1.0, memory=int(MOST * limit) + 1, memory_limit=limit)
    pipeline = Way("pipeline", 2, seconds=5.0, memory=int(MOST * limit), memory_limit=limit)
    found = choose([data, pipeline, Way("hybrid", problem="there is one partition")])
    assert found.parallel == "pipeline"
    assert found.reason == (
        "the only one possible; not data, which needs 801 B on a Worker that has 1 kB; "
        "not hybrid, as there is one partition"
    )
    told = str(found).splitlines()
    assert any(line.startswith("data") and line.endswith("does not fit") for line in told)
    assert any("not possible: there is one partition" in line for line in told)


def test_nothing_fits():
    large = [Way(name, memory=2_000, memory_limit=1_000) for name in ("data", "pipeline")]
    message = (
        r"no way to train fits in the memory of a Worker, which has 1 kB, 80% of it for a fit "
        r"\(data: needs 2 kB on a Worker; pipeline: needs 2 kB on a Worker; hybrid: no stages\)"
    )
    with pytest.raises(ValueError, match=message):
        choose([*large, Way("hybrid", problem="no stages")])


def test_without_seconds_the_first_is_chosen():
    found = choose([Way("data"), Way("pipeline", problem="one process")])
    assert (found.parallel, found.way.seconds) == ("data", None)
    assert found.reason == "the only one possible; not pipeline, as one process"


def test_arguments_of_other_ways_are_left_out():
    given = {
        "parallel": "auto",
        "stages": None,
        "n_replicas": 3,
        "micro_batches": 8,
        "pipeline_order": "gpipe",
        "recompute": True,
        "sync_every": 4,
        "outer": "average",
        "optimizer_state": "local",
    }
    pipeline = choose([Way("pipeline", 2, begins=("b",))]).arguments(given)
    assert (pipeline["stages"], pipeline["micro_batches"]) == (["b"], 8)
    assert (pipeline["sync_every"], pipeline["n_replicas"]) == ("auto", "auto")
    data = choose([Way("data")]).arguments(given)
    assert (data["micro_batches"], data["sync_every"], data["recompute"]) == (4, 4, False)
    assert choose([Way("hybrid")]).arguments(given)["n_replicas"] == 3


def test_rates_are_those_of_where_workers_are():
    assert _seconds.rates_of(Cluster(2)) is _seconds.ON_ONE_MACHINE
    assert _seconds.rates_of(Cluster(2, one_machine=False)) is _seconds.BETWEEN_MACHINES
