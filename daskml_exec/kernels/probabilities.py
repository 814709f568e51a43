"""Probabilities of classes, from margins."""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

from daskml_exec.kernels.arrays import Array


def class_probabilities(z: Array, *, log: bool = False) -> Array:
    """Return the probability of each class, shape (n, classes), or its logarithm.

    Parameters
    ----------
    z : ndarray of shape (n,), (n, 1) or (n, classes)
        The margin of the second of two classes, or one margin per class.
    log : bool

    Examples
    --------
    >>> class_probabilities(np.array([0.0]))
    array([[0.5, 0.5]])
    """
    result: Array
    if z.ndim == 1 or z.shape[1] == 1:
        z = z.reshape(-1)
        sigmoid = log_expit if log else expit
        result = np.column_stack([sigmoid(-z), sigmoid(z)])
    else:
        result = (log_softmax if log else softmax)(z, axis=1)
    return result
