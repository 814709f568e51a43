r"""Sums of the gradients of many models over the rows of one block, in one pass.

Models that train on all folds but one share their rows: a product with the coefficients of all of
them costs little more than one with those of one, and the rows come from memory once.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from daskml_exec.kernels.array_namespace import (
    array_namespace,
    beside,
    is_host,
    to_device_of,
    to_host,
    total_weight,
)
from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.fold_pieces import fold_pieces
from daskml_exec.kernels.losses import Loss, far_steps, weighted_residuals
from daskml_exec.kernels.sums import FieldwiseSum


@dataclass(frozen=True)
class FoldSums(FieldwiseSum):
    """Sums over the rows of each fold, the last of which is of rows in none."""

    weight: Array
    """Of shape (F + 1,)."""
    loss: Array
    """Of shape (F + 1, J)."""
    coef: Array
    """Gradients with respect to the coefficients, of shape (F + 1, J, K, d)."""
    intercept: Array
    """Gradients with respect to the intercepts, of shape (F + 1, J, K)."""


@dataclass(frozen=True)
class ModelSums(FieldwiseSum):
    """Sums of the gradients of each model over the rows that it trains on."""

    coef: Array
    """Of shape (M, K, d)."""
    intercept: Array
    """Of shape (M, K)."""


@dataclass(frozen=True)
class Points:
    """Where sums are wanted: parameters of some models, about the center of the rows."""

    coef: Array
    """Of shape (M, K, d)."""
    intercept: Array
    """Of shape (M, K)."""
    center: Array | None = None
    """What is taken from each row first; None for nothing."""

    def of_rows_as_they_are(self) -> "Points":
        """Return the same for rows of which nothing is taken."""
        if self.center is None:
            return self
        return replace(self, intercept=self.intercept - self.coef @ self.center, center=None)

    def some(self, which: Any) -> "Points":
        """Return those of some models."""
        return replace(self, coef=self.coef[which], intercept=self.intercept[which])


def fold_sums(
    loss: Loss, X: Any, y: Any, sample_weight: Any, fold: Array, n_folds: int, at: Points
) -> FoldSums:
    r"""Return loss and gradient of J models, summed over the rows of each fold.

    With margins :math:`z_{ij} = W_j x_i + b_j` and residuals
    :math:`r_{ij} = \partial \ell_i / \partial z_{ij}`, for each fold f
    :math:`\sum_{i \in f} w_i r_{ij} x_i^\top`. The sum over the rows that are not in a fold is the
    difference of the total and that fold's: so a row's residual is computed once for all folds.

    Parameters
    ----------
    loss : Loss
    X : array or CSR matrix of shape (n, d)
    y : array of shape (n,)
    sample_weight : array of shape (n,), or None
    fold : array of shape (n,)
        From 0; from `n_folds` on, of rows in no fold.
    n_folds : int
    at : Points
        Of J models.

    Returns
    -------
    FoldSums
        In float64, on the host.

    Examples
    --------
    >>> from daskml_exec.kernels.losses import BinaryLogistic
    >>> X, y, fold = np.array([[1.0], [-1.0]]), np.array([1, 0]), np.array([0, 1])
    >>> at = Points(np.zeros((1, 1, 1)), np.zeros((1, 1)))
    >>> fold_sums(BinaryLogistic(), X, y, None, fold, 2, at).coef.ravel()
    array([-0.5, -0.5,  0. ])
    """
    pieces = _Pieces(X, y, sample_weight, fold, n_folds, at)
    J, K = at.intercept.shape
    weight = np.zeros(n_folds + 1)
    values, coef = np.zeros((n_folds + 1, J)), np.zeros((n_folds + 1, J, K, X.shape[1]))
    intercept = np.zeros((n_folds + 1, J, K))
    everyone = pieces.prepared(slice(None))
    with far_steps():
        for k, block, y_of, w in pieces:
            weight[k] += total_weight(block, w)
            z = everyone.margins(block)
            for j in range(J):
                value, residuals = weighted_residuals(loss, z[j, ...], y_of, w)
                values[k, j] += value
                z[j, ...] = residuals
            everyone.add_gradients(z, block, coef[k], intercept[k], slice(None))
    pieces.about_center(coef, intercept)
    return FoldSums(weight, values, coef, intercept)


def model_sums(
    loss: Loss,
    X: Any,
    y: Any,
    sample_weight: Any,
    fold: Array,
    n_folds: int,
    at: Points,
    left_out: Array,
) -> ModelSums:
    """Return the gradients of M models, each summed over the rows of all folds but one.

    Parameters
    ----------
    loss, X, y, sample_weight, fold, n_folds
        As of `fold_sums`.
    at : Points
        Of M models.
    left_out : array of int of shape (M,)
        The fold that each does not train on; -1 for none.

    Examples
    --------
    >>> from daskml_exec.kernels.losses import BinaryLogistic
    >>> X, y, fold = np.array([[1.0], [-1.0]]), np.array([1, 0]), np.array([0, 1])
    >>> at = Points(np.zeros((2, 1, 1)), np.zeros((2, 1)))
    >>> sums = model_sums(BinaryLogistic(), X, y, None, fold, 2, at, np.array([0, -1]))
    >>> sums.coef.ravel()
    array([-0.5, -1. ])
    """
    pieces = _Pieces(X, y, sample_weight, fold, n_folds, at)
    M, K = at.intercept.shape
    coef, intercept = np.zeros((M, K, X.shape[1])), np.zeros((M, K))
    trained = [np.flatnonzero(left_out != k) for k in range(n_folds + 1)]
    prepared = [pieces.prepared(which) for which in trained]
    with far_steps():
        for k, block, y_of, w in pieces:
            if len(trained[k]):
                z = loss.residuals(prepared[k].margins(block), y_of)
                if w is not None:
                    z *= w
                prepared[k].add_gradients(z, block, coef, intercept, trained[k])
    pieces.about_center(coef, intercept)
    return ModelSums(coef, intercept)


class _Pieces:
    """Pieces of one fold each, with their targets and weights, where the rows are."""

    def __init__(
        self, X: Any, y: Any, sample_weight: Any, fold: Array, n_folds: int, at: Points
    ) -> None:
        self._X, self._fold, self._n_folds = X, fold, n_folds
        self._y = to_host(y)
        self._weight = None if sample_weight is None else to_host(sample_weight)
        # Sparse rows stay as they are: what is to be taken from them goes to the intercepts.
        self._moved = at.center if sp.issparse(X) else None
        self._at = at.of_rows_as_they_are() if sp.issparse(X) else at

    def __iter__(self) -> Any:
        center = self._at.center
        for k, rows, block in fold_pieces(self._X, self._fold, self._n_folds):
            if center is not None:
                block = block - to_device_of(center, block)
            y, w = self._y[rows], None if self._weight is None else self._weight[rows]
            if not is_host(block):
                y, w = beside(y, block), None if w is None else beside(w, block)
            yield k, block, y, w

    def prepared(self, which: Any) -> "_Some":
        """Return what multiplies blocks by the coefficients of some models."""
        some = self._at.some(which)
        K, d = some.coef.shape[1:]
        return _Some(np.ascontiguousarray(some.coef.reshape(-1, d)), some.intercept.ravel(), K)

    def about_center(self, coef: Array, intercept: Array) -> None:
        """Turn gradients of sparse rows into those of rows less the center."""
        if self._moved is not None:
            coef -= intercept[..., None] * self._moved


@dataclass(frozen=True)
class _Some:
    """The coefficients of some models, of all outputs below one another."""

    coef: Array
    intercept: Array
    n_outputs: int

    def margins(self, block: Any) -> Any:
        """Return margins of shape (M, K, n)."""
        if sp.issparse(block):
            z = np.ascontiguousarray((block @ self.coef.T).T)
            z += self.intercept[:, None]
        else:
            xp = array_namespace(block)
            z = to_device_of(self.coef, block) @ xp.matrix_transpose(block)
            z += to_device_of(self.intercept, block)[:, None]
        return array_namespace(z).reshape(z, (-1, self.n_outputs, block.shape[0]))

    def add_gradients(
        self, residuals: Any, block: Any, coef: Array, intercept: Array, which: Any
    ) -> None:
        """Add the sums over a block to those of these models."""
        xp = array_namespace(residuals)
        flat = xp.reshape(residuals, (-1, block.shape[0]))
        sparse = sp.issparse(block)
        gradients = (block.T @ flat.T).T if sparse else to_host(flat @ block)
        coef[which] += gradients.reshape((-1, *coef.shape[1:]))
        intercept[which] += to_host(xp.sum(flat, axis=1)).reshape((-1, self.n_outputs))
