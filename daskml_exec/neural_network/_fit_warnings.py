"""What a network's fit has to say of its data and its end."""

from collections.abc import Iterator

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.neural_network._target_spread import (
    SORTED,
    TargetSpread,
    explained_by_partition,
)
from daskml_exec.training import FitWarning
from daskml_exec.training.averaging import Stopping


def not_converged(name: str, max_iter: int, stopping: Stopping) -> FitWarning:
    """Say that `max_iter` was reached while the loss, or the score, still improved.

    Parameters
    ----------
    name : str
        The estimator's.
    max_iter : int
    stopping : Stopping
    """
    return FitWarning(
        "convergence",
        f"{name} stopped after max_iter={max_iter} epoch{'s' * (max_iter != 1)}, before the "
        f"{'score' if stopping.by_score else 'loss'} had stopped improving by "
        f"tol={stopping.tol:g} for more than {stopping.n_iter_no_change} epochs: it has not "
        "converged. Raise max_iter or tol",
        ConvergenceWarning,
    )


def sorted_rows(
    spread: TargetSpread | None, n_partitions: int, *, classes: bool
) -> Iterator[FitWarning]:
    """Say so where the partition that a row is in says much of its target.

    Parameters
    ----------
    spread : TargetSpread or None
        None where it was not asked for.
    n_partitions : int
    classes : bool
        Whether targets are classes.
    """
    if spread is None or n_partitions == 1:
        return
    share = explained_by_partition(spread, classes=classes)
    if share > SORTED:
        yield FitWarning(
            "sorted",
            f"the partition that a row is in says much of its target ({share:.0%} of what it "
            "could say), as where rows are sorted: averages of local models are then worse "
            "than the models. shuffle='partitions' deals the rows anew; where they must stay, "
            "a smaller sync_every may help",
        )
