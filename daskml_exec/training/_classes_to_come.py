"""The classes that `partial_fit` of a classifier goes by."""

from typing import Any

import numpy as np

from daskml_exec.kernels.arrays import Array


def classes_to_come(known: Array | None, classes: Any) -> Array:
    """Return all labels that there will be, sorted.

    Parameters
    ----------
    known : ndarray or None
        Those of the first call; None in it.
    classes : array-like or None
        What this call was given.

    Raises
    ------
    ValueError
        They differ, or there are none.
    """
    if classes is not None:
        given: Array = np.unique(np.asarray(classes))
        if known is not None and not np.array_equal(given, known):
            raise ValueError(
                f"classes={given.tolist()} differ from those of the first call to "
                f"partial_fit, {known.tolist()}; allowed are the same, or None"
            )
        return given
    if known is None:
        raise ValueError(
            "classes must be passed on the first call to partial_fit: all labels that there will be"
        )
    return known
