"""Costs are arithmetic on shapes and rates: no cluster is asked."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskml_exec.kernels.networks.layout import Layout
from daskml_exec.neural_network._block_plan import block_plan, default_n_blocks
from daskml_exec.neural_network._workload import require_room
from daskml_exec.neural_network.planning import Calibration, Workload
from daskml_exec.neural_network.planning._block_costs import blocks_estimate
from daskml_exec.neural_network.planning._costs import data_estimate, impossible
from daskml_exec.neural_network.planning._strategies import choose
from daskml_exec.training.averaging import batching

CLUSTER = Calibration(
    n_workers=2,
    round_seconds=0.011,
    segment_seconds=0.02,
    exchange_seconds=0.0008,
    exchange_bytes_per_second=1e9,
    driver_bytes_per_second=8e8,
    shared_bytes_per_second=4e8,
    float32_flops_per_second=1.5e11,
    float64_flops_per_second=7e10,
    float32_small_batch_flops_per_second=9e10,
    float64_small_batch_flops_per_second=4e10,
    memory_bytes_per_second=2e10,
    adam_parameters_per_second=1e9,
    adam_cached_parameters_per_second=3e9,
    call_seconds=2.3e-7,
)


def work(units, rows, *, n_workers=2, memory_limit=0, nonzeros=None, n_moments=2, dtype="float32"):
    return Workload(units, n_moments, dtype, tuple(rows), nonzeros, n_workers, memory_limit)


def estimates(what, batch, calibration=CLUSTER, *, n_blocks=None, n_replicas=2):
    n_blocks = n_blocks or default_n_blocks(Layout(what.units), what.state_bytes)

    def blocks(parallel, n_replicas):
        plan = block_plan(
            what.rows,
            batch,
            n_blocks=n_blocks,
            n_replicas=n_replicas,
            sync_every="auto",
            seed=None,
        )
        return blocks_estimate(what, plan, calibration, parallel=parallel)

    plan = batching(what.rows, batch, "auto", linear_scaling=False)
    found = [data_estimate(what, plan, calibration), blocks("model", 1)]
    return [*found, blocks("hybrid", n_replicas)] if len(what.rows) >= n_replicas else found


def test_a_large_model_on_little_data_is_cut():
    found = estimates(work((784, 4096, 4096, 10), [500] * 4), 256)
    assert choose(found)[0].parallel == "model"


def test_a_small_model_on_much_data_is_averaged():
    found = estimates(work((784, 128, 10), [30_000] * 2), 200)
    chosen, reason = choose(found)
    assert chosen.parallel == "data"
    assert "sooner than model" in reason and "hybrid" in reason


def test_bytes_are_those_that_history_counts():
    what = work((20, 30, 5), [128] * 4)
    data, model, hybrid = estimates(what, 64, n_blocks=2)
    n_parameters = 20 * 30 + 30 + 30 * 5 + 5
    # 8 steps, one round of four partitions: parameters and two moments, out and back.
    assert data.bytes_per_epoch == 4 * 2 * 3 * n_parameters * 4
    # 8 steps, each worker sends its part of the sum of 5 outputs over 64 rows.
    assert model.bytes_per_epoch == 8 * 2 * 5 * 64 * 4
    # Replicas lie on a worker each: only the averages travel, four an epoch.
    assert hybrid.bytes_per_epoch == 4 * 2 * 3 * n_parameters * 4
    assert (data.steps_per_epoch, model.steps_per_epoch, hybrid.steps_per_epoch) == (8, 8, 8)


@given(st.integers(1, 40), st.integers(1, 12))
def test_each_partition_has_one_holder(n_partitions, n_workers):
    what = work((4, 4, 1), [10] * n_partitions, n_workers=n_workers)
    found = [(w, i) for w in range(n_workers) for i in what.partitions_of(w)]
    assert found == [(what.holder(i), i) for i in range(n_partitions)]


def test_workers_beyond_the_blocks_idle():
    many, enough = (
        estimates(work((50, 40, 3), [100, 100], n_workers=n), 20, n_blocks=2)[1] for n in (16, 2)
    )
    assert many.seconds_per_epoch == pytest.approx(enough.seconds_per_epoch, rel=1e-9)
    assert many.bytes_per_epoch == enough.bytes_per_epoch


def test_one_worker_exchanges_nothing():
    alone = replace(CLUSTER, n_workers=1, exchange_seconds=None, exchange_bytes_per_second=None)
    found = estimates(work((50, 40, 3), [100, 100], n_workers=1), 20, alone)
    assert [each.bytes_per_epoch for each in found[1:]] == [0, 0]
    assert all(each.seconds_per_epoch > 0 for each in found)


def test_without_a_calibration_there_are_no_seconds():
    found = estimates(work((50, 40, 3), [100, 100]), 20, None)
    assert all(each.seconds_per_epoch is None for each in found)
    assert choose(found)[0].parallel == "data"


def test_sparse_rows_cost_their_stored_values():
    dense, sparse = (
        estimates(work((5000, 64, 3), [1000] * 2, nonzeros=nonzeros), 100)
        for nonzeros in (None, 20_000)
    )
    for one, other in zip(sparse, dense, strict=True):
        assert one.seconds_per_epoch < other.seconds_per_epoch
        assert one.memory_per_worker < other.memory_per_worker


def test_what_fits_is_chosen_before_what_is_fast():
    what = work((784, 1024, 10), [20_000] * 2)
    free = estimates(what, 256)
    fastest = choose(free)[0]
    others = [each for each in free if each is not fastest]
    slow = max(others, key=lambda each: -each.memory_per_worker)
    limit = slow.memory_per_worker
    tight = [replace(each, memory_limit=limit) for each in free]
    chosen = choose(tight)[0]
    assert chosen.fits and chosen.memory_per_worker <= limit


def test_where_nothing_fits_the_error_says_what_each_needs():
    found = estimates(work((784, 4096, 4096, 10), [500] * 4, memory_limit=170_000_000), 256)
    with pytest.raises(
        ValueError,
        match=r"neither fits \(data: needs .* on a worker, which has 170 MB; model: needs .*; "
        r"hybrid: needs .*\)",
    ):
        choose(found)


def test_what_was_asked_for_and_does_not_fit_is_refused():
    data = estimates(work((784, 4096, 4096, 10), [500] * 4, memory_limit=300_000_000), 256)[0]
    with pytest.raises(ValueError, match=r"parallel='data' needs .* on a worker, which has 300 MB"):
        require_room("data", data.memory_per_worker, data.memory_limit)
    for enough in (0, data.memory_per_worker):
        require_room("data", data.memory_per_worker, enough)


def test_reasons_name_what_restricts():
    found = estimates(work((784, 4096, 4096, 10), [500] * 4), 256)
    chosen, reason = choose([found[0], impossible("model", "early_stopping=True: no")])
    assert chosen.parallel == "data"
    assert reason == "the only one possible; not model, early_stopping=True: no"


@st.composite
def shapes(draw):
    size = st.integers(8, 400)
    units = (draw(size), *draw(st.lists(size, min_size=1, max_size=3)), draw(st.integers(1, 12)))
    rows = draw(st.lists(st.integers(60, 3000), min_size=2, max_size=6))
    return units, rows, draw(st.integers(16, 60)), draw(st.integers(1, 5))


@settings(max_examples=30)
@given(shapes())
def test_more_work_is_never_quicker(shape):
    units, rows, batch, n_workers = shape
    base = estimates(work(units, rows, n_workers=n_workers), batch, n_blocks=2)
    wider = (units[0], units[1] * 4, *units[2:])
    more_rows = [2 * n for n in rows]
    slow = replace(
        CLUSTER,
        float32_flops_per_second=CLUSTER.float32_flops_per_second / 2,
        float32_small_batch_flops_per_second=CLUSTER.float32_small_batch_flops_per_second / 2,
        adam_parameters_per_second=CLUSTER.adam_parameters_per_second / 2,
        exchange_bytes_per_second=CLUSTER.exchange_bytes_per_second / 2,
    )
    for others in (
        estimates(work(wider, rows, n_workers=n_workers), batch, n_blocks=2),
        estimates(work(units, more_rows, n_workers=n_workers), batch, n_blocks=2),
        estimates(work(units, rows, n_workers=n_workers), batch, slow, n_blocks=2),
    ):
        for one, other in zip(base, others, strict=True):
            assert other.seconds_per_epoch >= one.seconds_per_epoch
            assert other.memory_per_worker >= one.memory_per_worker
    double = estimates(work(units, rows, n_workers=n_workers, dtype="float64"), batch, n_blocks=2)
    for one, other in zip(base, double, strict=True):
        assert other.bytes_per_epoch == pytest.approx(2 * one.bytes_per_epoch, abs=2)
        assert other.seconds_per_epoch >= one.seconds_per_epoch
