"""Networks trained in blocks, and by the kernel that holds them whole."""

from typing import Any, NamedTuple

import numpy as np

from daskml_exec.kernels.networks.blocks.assemble import assemble, cut
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.kernels.networks.blocks.group import BlockGroup
from daskml_exec.kernels.networks.blocks.states import first_state
from daskml_exec.kernels.networks.blocks.training import (
    NOTHING,
    Batch,
    BlockSums,
    penalised_loss,
    train_blocks,
)
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.optimisers import init
from tests.kernels.networks.blocks.exchanges import on_workers

RATE, ALPHA, BATCH = 0.01, 0.3, 16


class Run(NamedTuple):
    """What came out: `states` by block and `sums` of each worker, `layers` put together."""

    layers: Any
    states: dict[int, Any]
    sums: list[BlockSums]
    logs: list[list[Any]]

    @property
    def loss(self) -> float:
        squares = {b: s for sums in self.sums for b, s in sums.squares.items()}
        return penalised_loss(self.sums[0].loss, squares, ALPHA)


def rows_of(n_steps, n=60, batch=BATCH, seed=0):
    """Row numbers for so many steps; the last batch is smaller."""
    rng = np.random.default_rng(seed)
    epochs = -(-n_steps * batch // n)
    order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
    return order[: n_steps * batch - batch // 2]


def batches_of(e, rows, weight=None, batch=BATCH):
    for start in range(0, len(rows), batch):
        chosen = rows[start : start + batch]
        yield Batch(e.X[chosen], e.y[chosen], None if weight is None else weight[chosen])


def finish(generator):
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def first_states(e, layout, optimiser):
    layers = e.network.layout.layers(e.parameters)
    return {
        block: first_state(layout, block, cut(layout, layers, block), optimiser)
        for block in range(layout.n_blocks)
    }


def in_blocks(
    e,
    optimiser,
    rows,
    n_blocks,
    owners=None,
    *,
    weight=None,
    states=None,
    rate=RATE,
    before=NOTHING,
):
    layout = BlockLayout(e.network.layout.units, n_blocks)
    owners = [list(range(n_blocks))] if owners is None else owners
    states = first_states(e, layout, optimiser) if states is None else states

    def work(blocks, exchange):
        group = BlockGroup(e.network, layout, {block: states[block] for block in blocks}, exchange)
        steps = train_blocks(
            group,
            optimiser,
            batches_of(e, rows, weight),
            learning_rate=rate,
            alpha=ALPHA,
            before=before,
            ends_epoch=False,
        )
        return finish(steps), exchange.log

    sums, logs = zip(*on_workers(owners, n_blocks, work), strict=True)
    layers = assemble(layout, {block: state.parameters for block, state in states.items()})
    return Run(layers, states, list(sums), list(logs))


def whole(e, optimiser, rows, *, weight=None, rate=RATE):
    """Return layers and sums of the network trained in one piece."""
    parameters = e.parameters.copy()
    sums = train_locally(
        e.network,
        optimiser,
        e.X,
        e.y,
        weight,
        rows=rows,
        batch=BATCH,
        parameters=parameters,
        state=init(optimiser, len(parameters), parameters.dtype),
        learning_rate=rate,
        penalty=ALPHA,
    )
    return e.network.layout.layers(parameters), sums


def assert_layers_close(found, expected, tolerance, *, since=None):
    """Compare each layer's weights and intercepts, or their change since, in relative norm."""
    for kind in range(2):
        for layer, (a, b) in enumerate(zip(found[kind], expected[kind], strict=True)):
            from_where = 0.0 if since is None else since[kind][layer].astype(float)
            size = np.linalg.norm(b.astype(float) - from_where)
            assert np.linalg.norm(a.astype(float) - b) <= tolerance * size, (kind, layer)
