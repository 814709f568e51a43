"""A picture of scores against penalties."""

from typing import TYPE_CHECKING, Any

import numpy as np

from daskml_exec.kernels.arrays import Array
from daskml_exec.linear_model._chosen import one_standard_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_path(
    ax: Any, values: Array, scores: Array, strengths: Any, chosen: float, names: tuple[str, str]
) -> "Axes":
    """Draw mean scores with one standard error, and the penalties that may be chosen.

    Parameters
    ----------
    ax : matplotlib Axes or None
    values : ndarray of shape (J,)
        Of the parameter.
    scores : ndarray of shape (F, J)
    strengths : array-like of shape (J,)
        Of the penalties.
    chosen : float
        The value that was chosen.
    names : (str, str)
        Of the parameter and of the score.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot() draws with matplotlib: pip install 'daskml-exec[notebook]'"
        ) from error
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    means = scores.mean(axis=0)
    errors = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    order = np.argsort(values)
    ax.errorbar(values[order], means[order], errors[order], fmt="o-", ms=3, capsize=2)
    simplest = values[one_standard_error(strengths, scores[None])]
    ax.axvline(chosen, color="C1", ls="-", label=f"chosen: {chosen:g}")
    ax.axvline(simplest, color="C2", ls=":", label=f"within one standard error: {simplest:g}")
    ax.set_xscale("log")
    ax.set_xlabel(names[0])
    ax.set_ylabel(f"{names[1]} on folds held out")
    ax.legend()
    axes: Axes = ax
    return axes
