"""What a fit warns of when it has ended."""

import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.neural_network._target_spread import SORTED, explained_by_partition


def warn_once(
    told: tuple[str, ...], found: Mapping[str, str], *, stacklevel: int
) -> tuple[str, ...]:
    """Warn of what was not told before, and return what is told now.

    A stream that is trained on piece by piece would hear the same with each of them.

    Parameters
    ----------
    told : tuple of str
        Names of what was warned of.
    found : mapping of str to str
        Texts by name; empty where there is nothing to tell.
    stacklevel : int
        As of `warnings.warn`.
    """
    new = {name: text for name, text in found.items() if text and name not in told}
    for text in new.values():
        warnings.warn(text, UserWarning, stacklevel=stacklevel)
    return (*told, *new)


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


def large_batch(batch_size: Any, rows: int) -> str:
    """Say that steps take all rows, where there are fewer than they should take."""
    if batch_size == "auto" or batch_size <= rows:
        return ""
    return (
        f"batch_size={batch_size} is more than the {rows} rows there are to train on: each step "
        "takes all of them"
    )


def sorted_rows(spread: Any, n_partitions: int, *, classes: bool) -> str:
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
        return ""
    share = explained_by_partition(spread, classes=classes)
    if not share > SORTED:
        return ""
    return (
        f"the partition that a row is in says much of its target ({share:.0%} of what it "
        "could say), as where rows are sorted: averages of local models are then worse "
        "than the models. shuffle='partitions' deals the rows anew; where they must stay, "
        "a smaller sync_every may help"
    )
