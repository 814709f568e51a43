"""What scalers do to blocks on a device, where scikit-learn's would want them on the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn import preprocessing as sk

from daskml_exec.kernels.array_namespace import array_namespace, somewhere, to_device_of
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions import matrix, require_features
from daskml_exec.preprocessing._preprocessor import BlockFunction


@dataclass(frozen=True, eq=False)
class ScalerBlocks(BlockFunction):
    """A scaler's method, of blocks on devices too: a float array there, in the precision of X."""

    def on_device(self, block: Any) -> Any:
        """Return the block scaled, or what it was scaled from."""
        model = self.model
        X = matrix(block, where="a block")
        require_features(X.shape[1], model.n_features_in_, type(model).__name__)
        if somewhere(array_namespace(X).isinf(X)):
            raise ValueError(
                f"Input X contains infinity or a value too large for dtype('{X.dtype}'); allowed "
                "are numbers, and NaN where values are missing"
            )
        inverse = self.method == "inverse_transform"
        if isinstance(model, sk.MinMaxScaler):
            return _to_range(model, X, inverse=inverse)
        centre, scale = _centre_and_scale(model)
        return _clipped(model, _affine(X, centre, scale, inverse=inverse), inverse=inverse)


def _centre_and_scale(model: Any) -> tuple[Array | None, Array | None]:
    if isinstance(model, sk.StandardScaler):
        return model.mean_ if model.with_mean else None, model.scale_
    if isinstance(model, sk.RobustScaler):
        return model.center_, model.scale_
    return None, model.scale_


def _affine(X: Any, centre: Array | None, scale: Array | None, *, inverse: bool) -> Any:
    """Return ``(X - centre) / scale``, or what has become X so."""
    if inverse:
        X = X if scale is None else X * to_device_of(scale, X)
        return X if centre is None else X + to_device_of(centre, X)
    X = X if centre is None else X - to_device_of(centre, X)
    return X if scale is None else X / to_device_of(scale, X)


def _to_range(model: Any, X: Any, *, inverse: bool) -> Any:
    factor, shift = to_device_of(model.scale_, X), to_device_of(model.min_, X)
    if inverse:
        return (X - shift) / factor
    return _clipped(model, X * factor + shift, inverse=False)


def _clipped(model: Any, made: Any, *, inverse: bool) -> Any:
    if inverse or not getattr(model, "clip", False):
        return made
    least, largest = getattr(model, "feature_range", (-1, 1))
    xp = array_namespace(made)
    # NaN stays: a comparison with it is false.
    made = xp.where(made < least, xp.full_like(made, least), made)
    return xp.where(made > largest, xp.full_like(made, largest), made)
