"""Scores of a module: sums with weights by name, of which the first says how good it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from daskml_exec.executor import Query
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import Partition, tree_rows
from daskml_exec.torch._hints import called
from daskml_exec.torch._outputs import OutputsOf
from daskml_exec.torch._tensors import batch_of
from daskml_exec.training.averaging import Score


@dataclass(frozen=True)
class Scores:
    """The user's scores, or the loss where there are none.

    Attributes
    ----------
    loss : callable
        ``loss(module, batch)`` returns a mean, or a mean with its weight.
    scores : callable or None
        ``scores(module, batch)`` returns sums with weights, by name.
    """

    loss: Callable[[nn.Module, Any], Any]
    scores: Callable[[nn.Module, Any], Any] | None

    def __call__(self, module: Any, batch: Any, n: int) -> Mapping[str, tuple[Any, Any]]:
        """Return the sums and weights of a batch of n samples, by name.

        Raises
        ------
        ValueError
            `scores` returned something else.
        """
        if self.scores is None:
            found = self.loss(module, batch)
            loss, weight = found if isinstance(found, tuple) else (found, n)
            return {"validation_loss": (loss * weight, weight)}
        named = called("scores(module, batch)", self.scores, module, batch)
        if not isinstance(named, dict) or not all(
            isinstance(name, str) and isinstance(each, tuple) and len(each) == 2
            for name, each in named.items()
        ):
            raise ValueError(
                f"scores returned {named!r:.200}; allowed is a dict of (sum, weight) by name, as "
                "{'accuracy': (n_right, n_samples)}"
            )
        return named


Sums = Mapping[str, Array]
"""Each score's sum and its weight, by name."""


def added(left: Sums, right: Sums) -> Sums:
    """Return the sums of two parts of the samples, which may lack what the other has.

    Examples
    --------
    >>> added({"accuracy": np.array([3.0, 4.0])}, {"accuracy": np.array([1.0, 1.0])})
    {'accuracy': array([4., 5.])}
    """
    names = dict.fromkeys([*left, *right])
    nothing = np.zeros(2)
    return {name: left.get(name, nothing) + right.get(name, nothing) for name in names}


def score_of(sums: Sums) -> Score:
    """Return the first score, which must grow; of a loss its negative.

    Examples
    --------
    >>> score_of({"loss": np.array([3.0, 4.0])})
    Score(value=-0.75, named={'loss': 0.75})
    """
    named = {
        name: float(total / weight) if weight else float("nan")
        for name, (total, weight) in sums.items()
    }
    first = next(iter(named), None)
    value = float("nan") if first is None else named[first]
    falls = first is not None and first.endswith("loss")
    return Score(-value if falls else value, named)


def score_held_out(sums: Sums, fraction: float) -> Score:
    """Return the score of samples that were held out.

    Parameters
    ----------
    sums : Sums
        Of all of them.
    fraction : float
        Which share of all samples they are, for an error.

    Raises
    ------
    ValueError
        None of the sums has a weight.
    """
    if not any(weight for _, weight in sums.values()):
        raise nothing_scored(fraction)
    return score_of(sums)


def nothing_scored(fraction: float) -> ValueError:
    """Return the error of samples held out that no score is of; as of `score_held_out`."""
    return ValueError(
        f"validation_fraction={fraction:g} holds out no sample, or none whose scores have a "
        "weight: allowed are more samples, a larger validation_fraction, and scores that "
        "return sums whose weights are not all zero"
    )


@dataclass(frozen=True)
class ArraysOfSums:
    """Scores of a batch as arrays of one entry, for `OutputsOf` to join those of all batches."""

    scores: Scores

    def __call__(self, module: nn.Module, batch: Any) -> dict[str, Array]:
        """Return an array of shape (1, 2) for each score."""
        found = self.scores(module, batch, tree_rows(batch))
        return {
            name: np.array([[float(total), float(weight)]])
            for name, (total, weight) in found.items()
        }


@dataclass(frozen=True)
class ScoreSums(Query[Sums]):
    """Scores of samples with a module that is trained; `outputs` is of `ArraysOfSums`."""

    outputs: OutputsOf

    def partial(self, partition: Partition) -> Sums:
        if not partition.n_rows:
            return {}
        given = (partition.X, partition.y, partition.sample_weight)
        found = self.outputs(batch_of(*(each for each in given if each is not None)))
        # The mean of nothing is none, and adds nothing.
        return {name: pairs[pairs[:, 1] != 0].sum(axis=0) for name, pairs in found.items()}

    def combine(self, left: Sums, right: Sums) -> Sums:
        return added(left, right)
