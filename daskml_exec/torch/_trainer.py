"""Trains a module on the samples of one partition: what averaged steps drive."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from daskml_exec.executor import NotWanted
from daskml_exec.executor._raised import Raised, carried
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.batches import RowOrder, held_out
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.partitions import Partition, map_leaves
from daskml_exec.torch._divergence import UNTRAINED, BeforeAnyStep, Diverged
from daskml_exec.torch._draws import (
    alone,
    drawn_since,
    epoch_key,
    generator_state,
    score_key,
    seed_step,
    step_seed,
)
from daskml_exec.torch._gather import Gather, not_finite_loss
from daskml_exec.torch._hints import hint
from daskml_exec.torch._local_module import LocalModule
from daskml_exec.torch._recipe import Recipe
from daskml_exec.torch._scores import added, score_held_out
from daskml_exec.torch._steady import steady
from daskml_exec.torch._steps import Step, autocast, factor_of, first_not_finite, run_steps
from daskml_exec.torch._transfer import fetched, is_here, numbers, on_device
from daskml_exec.training.averaging import (
    AveragingState,
    Batching,
    Failure,
    Losses,
    Model,
    Outer,
    Score,
    Work,
    of_classes,
)


@dataclass(frozen=True)
class Equipped:
    """A partition, and what makes the module that is trained on it, where it is.

    Attributes
    ----------
    partition : Partition
        Its X and y are trees of arrays with one leading axis.
    recipe : Recipe
    """

    partition: Partition
    recipe: Recipe

    @property
    def n_rows(self) -> int:
        """How many samples there are."""
        return self.partition.n_rows


@dataclass(frozen=True)
class ModuleTrainer:
    """`LocalTrainer` of modules, on `Equipped` partitions; itself it is small, and travels often.

    Attributes
    ----------
    batching : Batching
    seed : int
    shuffle : bool
    validation_fraction : float
    total_steps : int
        That the scheduler is told of.
    n_moments : int
        Numbers that the optimiser remembers.
    new : bool
        Whether training begins with weights that no step has changed.
    n_classes : int or None
        Of a classifier, whose codes are looked at in the first round.
    """

    batching: Batching
    seed: int
    shuffle: bool
    validation_fraction: float
    total_steps: int
    n_moments: int
    new: bool
    n_classes: int | None

    def train(self, partition: Any, model: Model, work: Work) -> tuple[Losses, Model, float]:
        """As of `LocalTrainer`."""
        losses, local, weight = self._trained(partition, model, work)
        return replace(losses, seen=self._seen(partition.partition, work)), local, weight

    def _seen(self, samples: Partition, work: Work) -> Any:
        if self.n_classes is None or not work.first_round:
            return 0.0
        return of_classes(samples.y, samples.sample_weight, self.n_classes)

    def _trained(
        self, partition: Equipped, model: Model, work: Work
    ) -> tuple[Losses, Model, float]:
        samples = partition.partition
        batches = self._batches(samples, work)
        nothing = OptimiserState(
            np.zeros(self.n_moments, model.parameters.dtype), model.optimiser.scales
        )
        # Where nothing is trained nothing is counted: some counts fall.
        uncounted = np.full_like(model.buffers.largest, -np.inf)
        idle = Model(model.parameters, nothing, replace(model.buffers, largest=uncounted))
        if not batches:
            return Losses(0.0, 0.0, Failure(), 0.0), idle, 0.0
        local: Any = None
        try:
            with partition.recipe.borrowed(LocalModule) as local, steady(local.device):
                made = _Batches(local, samples, list(batches.values()), self.seed, work.epoch)
                steps = self._steps(local, samples, batches, work, made)
                seen = _taken(local, steps, lambda: made.arrive(local.load(model, made.to_send)))
                found, flat = local.unload([each for pair in seen for each in pair])
                losses = flat.reshape(-1, 2)
        except NotWanted:
            raise
        except Exception as error:
            module = None if local is None else local.module
            error.add_note(_where(error, module, samples, batches, work))
            return self._failed(carried(error), idle)
        wrong = first_not_finite(losses)
        if wrong is not None:
            step = list(batches)[wrong]
            first = self.new and work.first_round and wrong == 0
            failure = self._not_finite(samples, batches[step], step, work, losses[wrong, 0], first)
            return self._failed(failure, idle)
        weight = float(losses[:, 1].sum())
        return Losses(float(losses.prod(axis=1).sum()), weight, Failure(), 0.0), found, weight

    def _failed(self, failure: Raised | Failure, idle: Model) -> tuple[Losses, Model, float]:
        made: Any = failure if isinstance(failure, Failure) else Failure(data=failure)
        return Losses(0.0, 0.0, made, 0.0), idle, 0.0

    def _not_finite(
        self, samples: Partition, rows: Array, step: int, work: Work, loss: float, first: bool
    ) -> Failure:
        where, bad = not_finite_loss(samples, rows, loss, step, work.epoch)
        if bad:
            return Failure(data=bad)
        if first:
            return Failure(data=BeforeAnyStep(where))
        return Failure(diverged=True, partition=samples.index, remedy=where)

    def _steps(
        self,
        local: LocalModule,
        samples: Partition,
        batches: dict[int, Array],
        work: Work,
        made: "_Batches",
    ) -> list[Step]:
        key = epoch_key(self.seed, samples.index, work.epoch)
        before = work.epoch * self.batching.steps_per_epoch
        return [
            Step(
                functools.partial(made, i),
                len(rows),
                step_seed(key, step),
                work.learning_rate
                * factor_of(
                    local.parts.scheduler, min(before + step, self.total_steps), self.total_steps
                ),
            )
            for i, (step, rows) in enumerate(batches.items())
        ]

    def _batches(self, samples: Partition, work: Work) -> dict[int, Array]:
        """Return the samples of each step of the epoch that has any: in even shares.

        A last batch of a single sample would stop a module with BatchNorm.
        """
        order = self._in_order(samples, work.epoch)
        n, n_steps = len(order), self.batching.steps[samples.index]
        steps = range(work.first_step, min(work.first_step + work.n_steps, n_steps))
        shares = {step: order[step * n // n_steps : (step + 1) * n // n_steps] for step in steps}
        return {step: rows for step, rows in shares.items() if len(rows)}

    def _in_order(self, samples: Partition, epoch: int) -> Array:
        trained_on, _ = self._split(samples)
        order = RowOrder(self.seed if self.shuffle else None, samples.index)
        return order.of_epoch(trained_on, epoch, samples.sample_weight)

    def _split(self, samples: Partition) -> tuple[Array, Array]:
        return held_out(
            samples.start,
            samples.n_rows,
            self.validation_fraction,
            seed=self.seed,
            partition=samples.index,
        )

    def score_sums(self, partition: Any, model: Model) -> Mapping[str, Array] | Raised:
        """Return sums and weights by name; or what the user's function raised."""
        samples = partition.partition
        _, rows = self._split(samples)
        sums: dict[str, Array] = {}
        if not len(rows):
            return sums
        size = max(1, self.batching.batches[samples.index])
        try:
            with partition.recipe.borrowed(LocalModule) as local, steady(local.device):
                local.module.eval()
                pieces = [rows[i : i + size] for i in range(0, len(rows), size)]
                made = _Batches(local, samples, pieces, self.seed, None)
                made.arrive(local.load_weights(model, made.to_send))
                key = score_key(self.seed, samples.index)
                seen: list[tuple[str, Any, Any]] = []
                with torch.no_grad(), alone():
                    for i, piece in enumerate(pieces):
                        seed_step(step_seed(key, i), local.device)
                        with autocast(local.parts.amp, local.device):
                            found = local.parts.scores(local.call, made(i), len(piece))
                        seen += [(name, *pair) for name, pair in found.items()]
                values = [each for _, *pair in seen for each in pair]
                (there,) = fetched([on_device(values, local.device)], local.device)
                pairs = numbers(values, there).reshape(-1, 2)
                for (name, *_), pair in zip(seen, pairs, strict=True):
                    # The mean of nothing is none, and adds nothing.
                    sums[name] = sums.get(name, np.zeros(2)) + (pair if pair[1] else 0.0)
        except NotWanted:
            raise
        except Exception as error:
            return carried(error)
        return sums

    def combine_scores(self, left: Any, right: Any) -> Any:
        """As of `LocalTrainer`."""
        for each in (left, right):
            if isinstance(each, Raised):
                return each
        return added(left, right)

    def score(self, sums: Any) -> Score:
        """Return the first score, which must grow; of a loss its negative."""
        if isinstance(sums, Raised):
            raise sums.original()
        return score_held_out(sums, self.validation_fraction)

    def error(
        self, failure: Failure, state: AveragingState, learning_rate: float, outer: Outer
    ) -> Exception:
        """As of `LocalTrainer`."""
        if isinstance(failure.data, Raised):
            original: Any = failure.data.original()
            return original
        if isinstance(failure.data, BeforeAnyStep):
            return Diverged(failure.data.where, UNTRAINED, state.model)
        if not failure.diverged:
            return ValueError(failure.data)
        where = failure.remedy or f"the average is not finite after round {state.rounds}"
        remedy = f"Lower lr, which was {learning_rate:g} in this round, or set clip_norm"
        if outer.momentum:
            remedy += "; outer='average' may help, too"
        return Diverged(where, remedy, state.model)


def _taken(local: LocalModule, steps: list[Step], load: Callable[[], None]) -> Any:
    """Take steps from what `load` loads, and return what `run_steps` returns.

    A module may draw random numbers though a step on two samples drew none: it is found out after
    the steps, which are then taken again, with a seed each.
    """
    load()
    if not local.draws:
        before = generator_state()
        seen = run_steps(local, steps)
        if not drawn_since(before):
            return seen
        local.draws = True
        load()
    with alone():
        return run_steps(local, steps)


def _where(
    error: Exception, module: Any, samples: Partition, batches: dict[int, Array], work: Work
) -> str:
    """Say where training raised, and what may help where that is known."""
    sizes = sorted({len(batch) for batch in batches.values()})
    note = (
        f"in training on partition {samples.index}, epoch {work.epoch}, steps {min(batches)} to "
        f"{max(batches)}, of {' or '.join(map(str, sizes))} samples each"
    )
    said = hint(error, module, sizes[0])
    return f"{note}: {said}" if said else note


class _Batches:
    """Batches of a partition as tensors on the module's device.

    On the CPU each is gathered as its step comes; to a GPU all travel in one piece with the model.
    """

    def __init__(
        self,
        local: LocalModule,
        samples: Partition,
        batches: list[Array],
        seed: int,
        epoch: int | None,
    ) -> None:
        self._batches = batches
        augment = None if epoch is None else local.parts.augment
        dtype = local.parts.layout.torch_dtype
        self._gathered = Gather(samples, dtype, augment, seed, epoch or 0)
        self._whole: Any = None
        self.to_send: list[Array] = []
        if not is_here(local.device):
            self._whole = self._gathered(np.concatenate(batches))
            self._starts = np.cumsum([0, *map(len, batches)])
            map_leaves(lambda leaf: self.to_send.append(leaf.numpy()), self._whole)

    def arrive(self, sent: list[torch.Tensor]) -> None:
        """Take what was to be sent, where it has been sent to."""
        rest = iter(sent)
        self._whole = map_leaves(lambda _: next(rest), self._whole) if sent else None

    def __call__(self, i: int) -> Any:
        if self._whole is None:
            return self._gathered(self._batches[i])
        start, stop = self._starts[i], self._starts[i + 1]
        return map_leaves(lambda tensor: tensor[start:stop].clone(), self._whole)
