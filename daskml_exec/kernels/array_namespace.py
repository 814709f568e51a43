"""The few places where arrays meet their namespace, and where host and device meet."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from array_api_compat import array_namespace as namespace_of_others
from array_api_compat import device, is_array_api_obj, is_cupy_array, to_device

from daskml_exec.kernels.arrays import Array

__all__ = [
    "array_namespace",
    "beside",
    "concatenated",
    "doubles",
    "dtype_kind",
    "everywhere",
    "has_doubles",
    "host_dtype",
    "is_host",
    "is_on_device",
    "moved",
    "number",
    "ones",
    "resolution",
    "same_place",
    "somewhere",
    "summed",
    "to_device_of",
    "to_host",
    "total",
    "total_weight",
    "write",
    "zeros",
]


def array_namespace(array: Any) -> Any:
    """Return the functions for an array, by the names of the array API standard."""
    # NumPy's own, at once: to find that out takes as long as a sum over a small block.
    return np if type(array) is np.ndarray else namespace_of_others(array)


def is_host(array: Any) -> bool:
    """Whether `array` is a NumPy array or a SciPy sparse matrix."""
    return isinstance(array, np.ndarray) or sp.issparse(array)


def is_on_device(array: Any) -> bool:
    """Whether something is an array that is not on the host."""
    return is_array_api_obj(array) and not (is_host(array) or isinstance(array, np.generic))


def to_host(array: Any) -> Array:
    """Transfer an array to the host. One of the two named transfer points."""
    if isinstance(array, np.ndarray):
        return array
    if is_cupy_array(array):
        host: Array = array.get()
        return host
    xp = array_namespace(array)
    cpu = xp.__array_namespace_info__().default_device()
    return np.from_dlpack(to_device(array, cpu))


def to_device_of(host: Array, like: Any, dtype: np.dtype[Any] | None = None) -> Any:
    """Transfer a host array to where `like` is, in that dtype or another.

    The other transfer point.
    """
    xp = array_namespace(like)
    return xp.asarray(host.astype(dtype or host_dtype(like), copy=False), device=device(like))


def moved(column: Any, like: Any) -> Any:
    """Return an array in its own dtype where `like` is, which may be the host.

    From one device to another it goes by the host.
    """
    if is_host(like):
        return to_host(column)
    if same_place(column, like):
        return column
    host = to_host(column)
    return to_device_of(host, like, host.dtype)


def same_place(one: Any, other: Any) -> bool:
    """Whether two arrays are on the host, or on one device in one namespace."""
    if is_host(one) or is_host(other):
        return is_host(one) and is_host(other)
    return array_namespace(one) is array_namespace(other) and bool(device(one) == device(other))


def has_doubles(array: Any) -> bool:
    """Whether there is float64 where an array is."""
    if is_host(array):
        return True
    info = array_namespace(array).__array_namespace_info__()
    return "float64" in info.dtypes(device=device(array), kind="real floating")


def doubles(array: Any) -> Any:
    """Return an array in float64: itself if it is."""
    if is_host(array):
        return array.astype(np.float64, copy=False)
    xp = array_namespace(array)
    return xp.astype(array, xp.float64, copy=False)


def concatenated(arrays: list[Any]) -> Any:
    """Return arrays of one place behind one another, in the dtype that NumPy would choose."""
    xp = array_namespace(arrays[0])
    if xp is np:
        return np.concatenate(arrays)
    dtype = getattr(xp, np.result_type(*map(host_dtype, arrays)).name)
    return xp.concat([xp.astype(array, dtype, copy=False) for array in arrays])


def everywhere(mask: Any) -> bool:
    """Whether a mask is true everywhere."""
    if is_host(mask):
        return bool(mask.all())
    return bool(to_host(array_namespace(mask).all(mask)))


def somewhere(mask: Any) -> bool:
    """Whether a mask is true anywhere."""
    if is_host(mask):
        return bool(mask.any())
    return bool(to_host(array_namespace(mask).any(mask)))


def ones(shape: tuple[int, ...], like: Any) -> Any:
    """Return ones in float64 where `like` is."""
    if is_host(like):
        return np.ones(shape)
    xp = array_namespace(like)
    return xp.ones(shape, dtype=xp.float64, device=device(like))


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Return zeros where `like` is and in its dtype."""
    return array_namespace(like).zeros(shape, dtype=like.dtype, device=device(like))


def beside(column: Any, like: Any) -> Any:
    """Return a column, which may be on the host, where `like` is and in its dtype."""
    if is_host(column):
        return to_device_of(column, like)
    return array_namespace(like).astype(column, like.dtype, copy=False)


def resolution(array: Any) -> float:
    """Return the distance from one to the next larger number of a floating dtype."""
    return float(np.finfo(host_dtype(array)).eps)


def total(array: Any, weight: Any = None) -> float:
    """Return the sum of all elements on the host; of a vector, the weighted sum."""
    return number(summed(array, weight))


def summed(array: Any, weight: Any = None) -> Any:
    """Return what `total` does, on a device as an array there, which nobody waits for."""
    if is_host(array):
        return float(array.sum() if weight is None else array @ weight)
    return array_namespace(array).sum(array) if weight is None else array @ weight


def number(summed: Any) -> float:
    """Return a number that may be an array on a device."""
    return float(summed if isinstance(summed, (float, np.generic)) else to_host(summed))


def write(function: Any, *arrays: Any, out: Any) -> None:
    """Write what a function of a namespace returns to `out`, at once where it can."""
    if isinstance(out, np.ndarray) or is_cupy_array(out):
        function(*arrays, out=out)
    else:
        out[...] = function(*arrays)


def largest_magnitude(array: Any) -> float:
    """Return the largest absolute value of all elements on the host; zero if there are none."""
    if not array.size:
        return 0.0
    if is_host(array):
        return max(float(array.max()), -float(array.min()))
    xp = array_namespace(array)
    return float(to_host(xp.max(xp.abs(array))))


def total_weight(X: Any, sample_weight: Any) -> float:
    """Return the weight of all rows: their number where weights are None."""
    return float(X.shape[0]) if sample_weight is None else total(sample_weight)


def host_dtype(array: Any) -> np.dtype[Any]:
    """Return NumPy's name of a dtype that may be of another namespace."""
    return np.dtype(str(array.dtype).rpartition(".")[2])


def dtype_kind(array: Any) -> str:
    """Return NumPy's letter for the kind of a dtype that may be of another namespace."""
    return array.dtype.kind if is_host(array) else host_dtype(array).kind
