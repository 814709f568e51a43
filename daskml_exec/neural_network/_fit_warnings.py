"""What a fit warns of when it has ended."""

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.neural_network._target_spread import SORTED, explained_by_partition


def warn_of_no_convergence(model: Any, *, stacklevel: int) -> None:
    """Warn that `max_iter` was reached while the loss, or the score, still improved."""
    warnings.warn(
        f"{type(model).__name__} stopped after max_iter={model.max_iter} epochs, before the "
        f"{'score' if model.early_stopping else 'loss'} had stopped to improve by "
        f"tol={model.tol:g} for more than {model.n_iter_no_change} epochs: it has not "
        "converged. Raise max_iter or tol",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )


def warn_of_sorted(spread: Any, n_partitions: int, *, classes: bool, stacklevel: int) -> None:
    """Warn where the partition that a row is in says much of its target.

    Parameters
    ----------
    spread : TargetSpread or None
        None where it was not asked for.
    n_partitions : int
    classes : bool
        Whether targets are classes.
    stacklevel : int
        As of `warnings.warn`.
    """
    if spread is None or n_partitions == 1:
        return
    share = explained_by_partition(spread, classes=classes)
    if share > SORTED:
        warnings.warn(
            f"the partition that a row is in says much of its target ({share:.0%} of what it "
            "could say), as where rows are sorted: averages of local models are then worse "
            "than the models. shuffle='partitions' deals the rows anew; where they must stay, "
            "a smaller sync_every may help",
            UserWarning,
            stacklevel=stacklevel,
        )
