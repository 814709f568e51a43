"""How good boxes and masks are: average precision, and intersection over union.

Boxes are left, top, right, bottom, in pixels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

MATCH = 0.5
"""Intersection over union from which a found box is the true one: the 50 of AP50."""


def box_iou(first: Any, second: Any) -> Any:
    """Return the intersection over union of each box with each: (..., n, 4), (..., m, 4).

    Both are NumPy arrays, or tensors; what comes back has shape (..., n, m). Empty boxes have none.

    Examples
    --------
    >>> box_iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]]))
    array([[0.33333333]])
    """
    first, second = first[..., :, None, :], second[..., None, :, :]
    left = _larger(first[..., :2], second[..., :2])
    right = -_larger(-first[..., 2:], -second[..., 2:])
    shared = (right - left).clip(0).prod(-1)
    sizes = [(each[..., 2:] - each[..., :2]).clip(0).prod(-1) for each in (first, second)]
    return shared / (sizes[0] + sizes[1] - shared).clip(1e-9)


def _larger(a: Any, b: Any) -> Any:
    """Return the larger of each two numbers, of arrays or tensors."""
    return np.maximum(a, b) if isinstance(a, np.ndarray) else a.maximum(b)


def average_precisions(
    found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], n_classes: int
) -> np.ndarray:
    """Return the average precision of each class; NaN of one that is nowhere.

    In order of their scores, over all scenes, found boxes take that box of their class in the scene
    which they overlap most, if it is half of both together and none has taken it before; else they
    are wrong. The area under the curve of precision over recall is summed at all its points, where
    precision is the largest at that recall or a larger one:

    AP = sum over i of (r_i - r_(i - 1)) max over j >= i of p_j

    Parameters
    ----------
    found : dict of arrays
        boxes (n, k, 4), labels (n, k) and scores (n, k); what has the score 0 fills up.
    truth : dict of arrays
        boxes (n, m, 4), labels (n, m) and count (n,).
    n_classes : int

    Returns
    -------
    ndarray of shape (n_classes,)

    References
    ----------
    Everingham et al. (2010), The Pascal visual object classes (VOC) challenge, IJCV 88, in the
    form that has been used since 2010.

    Examples
    --------
    >>> box = np.array([[[0.0, 0.0, 4.0, 4.0]]])
    >>> truth = {"boxes": box, "labels": np.array([[1]]), "count": np.array([1])}
    >>> found = {"boxes": box + 1.0, "labels": np.array([[1]]), "scores": np.array([[0.9]])}
    >>> average_precisions(found, truth, 2)  # 9 pixels of 23 are shared
    array([nan,  0.])
    >>> average_precisions({**found, "boxes": box + 0.5}, truth, 2)
    array([nan,  1.])
    """
    overlaps = box_iou(found["boxes"], truth["boxes"])
    real = np.arange(truth["labels"].shape[1]) < truth["count"][:, None]
    return np.array(
        [
            _average_precision(
                np.where(found["labels"] == label, found["scores"], 0),
                real & (truth["labels"] == label),
                overlaps,
            )
            for label in range(n_classes)
        ]
    )


def _average_precision(scores: np.ndarray, wanted: np.ndarray, overlaps: np.ndarray) -> float:
    n = wanted.sum()
    if n == 0:
        return np.nan
    free = wanted.copy()
    order = np.argsort(-scores, axis=None, kind="stable")[: (scores > 0).sum()]
    right = np.zeros(len(order), bool)
    for i, flat in enumerate(order):
        scene, box = np.unravel_index(flat, scores.shape)
        candidates = np.where(free[scene], overlaps[scene, box], -1)
        best = candidates.argmax()
        if candidates[best] >= MATCH:
            right[i], free[scene, best] = True, False
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[right].sum() / n)


def mean_precision(
    found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], n_classes: int
) -> float:
    """Return AP50: the mean of `average_precisions` over classes that are somewhere."""
    return float(np.nanmean(average_precisions(found, truth, n_classes)))


def mask_ious(found: Any, truth: Any, n_classes: int) -> np.ndarray:
    """Return each class's intersection over union, over all pixels of all scenes.

    NaN where a class is in neither. Masks have equal shapes, and numbers of classes for pixels.

    Examples
    --------
    >>> mask_ious(np.array([[0, 1, 1, 1]]), np.array([[0, 0, 1, 1]]), 3)
    array([0.5       , 0.66666667,        nan])
    """
    pairs = np.bincount(
        (np.asarray(truth, np.int64) * n_classes + np.asarray(found)).ravel(),
        minlength=n_classes**2,
    ).reshape(n_classes, n_classes)
    shared = pairs.diagonal()
    either = pairs.sum(axis=0) + pairs.sum(axis=1) - shared
    return np.divide(shared, either, out=np.full(n_classes, np.nan), where=either > 0)
