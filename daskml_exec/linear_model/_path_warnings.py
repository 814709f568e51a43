"""What is to be said of a path of models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskml_exec.linear_model._path_fit import FinalFit, PathFit
from daskml_exec.training import FitWarning

_NAMED = 3


def warnings_of(model: Any, found: PathFit, penalties: Sequence[str]) -> list[FitWarning]:
    """Return a warning of the models that have not converged, if there are any."""
    if found.stopped:
        return []
    places = np.argwhere(~found.converged)
    lines = [
        f"{penalties[j]} without fold {k} (gradient norm {found.norms[k, j]:.2e})"
        for k, j in places[:_NAMED].tolist()
    ]
    final = found.final
    n = len(places)
    if final is not None and not final.converged:
        n += 1
        lines.append(f"{penalties[found.best or 0]} of all rows (gradient norm {final.norm:.2e})")
    if not n:
        return []
    more = ", and others" if n > len(lines) else ""
    message = (
        f"{type(model).__name__}: {n} of {found.converged.size + (final is not None)} models "
        f"stopped before they converged to tol={model.tol:.2e}: {', '.join(lines)}{more}. Raise "
        "max_iter or tol, or leave out the weakest penalties"
    )
    return [FitWarning("convergence", message, ConvergenceWarning)]


def not_refined(model: Any, final: FinalFit, penalty: str) -> list[FitWarning]:
    """Return a warning of the model of all rows, if it has not converged."""
    if final.converged:
        return []
    message = (
        f"{type(model).__name__}: the model of all rows with {penalty} stopped before it converged "
        f"to tol={model.tol:.2e} (gradient norm {final.norm:.2e}). Raise max_iter or tol"
    )
    return [FitWarning("convergence", message, ConvergenceWarning)]
