"""Fit a network whose weights are cut into blocks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daskml_exec.executor import share
from daskml_exec.kernels.networks.blocks.assemble import assemble, cut
from daskml_exec.kernels.networks.layout import Layers
from daskml_exec.neural_network._block_segments import BlockFit, BlockSegments
from daskml_exec.partitions import Partitions
from daskml_exec.training import Callback, History, Reached, run_segments


@dataclass(frozen=True)
class BlockOutcome:
    """The state after the last segment, the whole weights, and the history."""

    state: BlockFit
    layers: Layers
    history: History


def fit_blocks(
    segments: BlockSegments,
    start: BlockFit,
    partitions: Partitions,
    *,
    layers: Layers | None,
    callbacks: Sequence[Callback],
    snapshot: Callable[[Layers], Any],
    reached: Callable[[BlockFit], Reached],
    name: str,
) -> BlockOutcome:
    """Train the blocks on the workers, and bring the weights together in the end.

    Parameters
    ----------
    segments : BlockSegments
    start : BlockFit
    partitions : Partitions
    layers : Layers or None
        Weights to start from; None for new ones.
    callbacks : sequence of callables
    snapshot : callable
        Returns an estimator that has these weights.
    reached : callable
        Returns how far training has come.
    name : str
        What the tasks are called.
    """

    def whole(units: Mapping[int, Any]) -> Layers:
        blocks = range(segments.plan.n_blocks)
        return assemble(segments.layout, {block: units[block] for block in blocks})

    result = run_segments(
        segments,
        start,
        partitions,
        given=lambda: {} if layers is None else _sent(segments, partitions, layers, name),
        callbacks=callbacks,
        snapshot=lambda state, units: snapshot(whole(units)),
        reached=reached,
        name=name,
    )
    return BlockOutcome(result.state, whole(result.units), result.history)


def _sent(
    segments: BlockSegments, partitions: Partitions, layers: Layers, name: str
) -> dict[int, Any]:
    """Send each block its part of the weights, for all replicas once."""
    executor = partitions.executor
    pieces = [cut(segments.layout, layers, block) for block in range(segments.plan.n_blocks)]
    futures = [
        share(
            executor.client,
            piece,
            sum(array.nbytes for array in piece),
            name=f"{name}-start",
            in_process=executor.in_process,
        )
        for piece in pieces
    ]
    return {unit: futures[unit % len(futures)] for unit in range(segments.n_units)}
