"""Arrays that behave like those on a device, for tests on machines without one.

They refuse what CuPy refuses: to become NumPy arrays, numbers or truth values by themselves,
and to be mixed with NumPy arrays. They come and go by explicit transfers only, each of which is
logged. Their namespace has what the array API standard calls by these names, and no more than the
package needs. Dask takes them for array chunks by their attributes, as it takes CuPy's.
"""

import operator
from typing import Any, NamedTuple

import numpy as np

REMOTE, HOST = "remote", "host"


class Transfer(NamedTuple):
    """An array that went to the device named."""

    to: str
    shape: tuple[int, ...]


LOG: list[Transfer] = []


def send(host: np.ndarray) -> "Remote":
    """Bring a host array to the device as users do: not logged."""
    return Remote(np.array(host))


def look(array: "Remote") -> np.ndarray:
    """Look at a device array from outside: not logged."""
    return array._values.copy()


class Remote:
    """An array on the device, or, on its way to NumPy, on the host."""

    __array_ufunc__ = None  # NumPy leaves operators to this class, which refuses NumPy's arrays
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: np.ndarray, device: str = REMOTE) -> None:
        assert type(values) is np.ndarray
        self._values = values
        self.device = device

    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return Namespace

    def to_device(self, device: str, *, stream: None = None) -> "Remote":
        if device != self.device:
            LOG.append(Transfer(device, self.shape))
        return Remote(self._values.copy(), device)

    def __dlpack_device__(self) -> Any:
        self._require_host()
        return self._values.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        self._require_host()
        return self._values.__dlpack__(**options)

    def _require_host(self) -> None:
        if self.device != HOST:
            raise BufferError("an array on the device has no memory that the host could read")

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed: transfer explicitly")

    __array__ = __float__ = __int__ = __index__ = __bool__ = __complex__ = __iter__ = _refuse

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Join arrays where they are, as CuPy does; Dask and others know no other way."""
        if function is not np.concatenate:
            return NotImplemented
        return Namespace.concat(*args, **kwargs)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Remote(shape={self.shape}, dtype={self.dtype}, device={self.device!r})"

    def __getitem__(self, key: Any) -> "Remote":
        if isinstance(key, Remote) and key.dtype == bool:
            return Remote(self._values[key._values])  # a mask alone, as the standard has it
        for part in key if isinstance(key, tuple) else (key,):
            if not (part is None or part is Ellipsis or isinstance(part, (int, slice))):
                raise IndexError(f"the standard has no index of type {type(part).__name__}")
        return Remote(np.asarray(self._values[key]))

    @property
    def T(self) -> "Remote":
        if self.ndim != 2:
            raise AttributeError("the standard transposes arrays of two dimensions only")
        return Namespace.matrix_transpose(self)

    def __setitem__(self, key: Any, value: Any) -> None:
        self[key]._values[...] = _values(value)


def _values(operand: Any) -> Any:
    if isinstance(operand, Remote):
        if operand.device != REMOTE:
            raise TypeError("an array on the host cannot be mixed with one on the device")
        return operand._values
    if isinstance(operand, (bool, int, float)) and not isinstance(operand, np.generic):
        return operand
    # Numbers of NumPy's, too: they would turn single precision into double.
    raise TypeError(f"a device array cannot be mixed with a {type(operand).__name__}")


def _applied(function: Any, *operands: Any, **options: Any) -> Remote:
    values = [_values(operand) for operand in operands]
    with np.errstate(all="ignore"):  # devices do not warn
        return Remote(np.asarray(function(*values, **options)))


def _operators() -> None:
    def both_ways(function: Any) -> tuple[Any, Any]:
        return (
            lambda self, other: _applied(function, self, other),
            lambda self, other: _applied(function, other, self),
        )

    def in_place(function: Any) -> Any:
        def operate(self: Remote, other: Any) -> Remote:
            self._values[...] = _applied(function, self, other)._values
            return self

        return operate

    for name in ("add", "sub", "mul", "truediv", "mod", "pow", "matmul", "and_", "or_"):
        there, back = both_ways(getattr(operator, name))
        setattr(Remote, f"__{name.strip('_')}__", there)
        setattr(Remote, f"__r{name.strip('_')}__", back)
    for name in ("add", "sub", "mul", "truediv"):
        setattr(Remote, f"__i{name}__", in_place(getattr(operator, name)))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Remote, f"__{name}__", both_ways(getattr(operator, name))[0])
    for name in ("neg", "abs", "invert"):
        function = getattr(operator, name)
        setattr(Remote, f"__{name}__", lambda self, function=function: _applied(function, self))


_operators()


def _elementwise(function: Any) -> Any:
    return staticmethod(lambda *arrays, **options: _applied(function, *arrays, **options))


class _Info:
    """What the package asks a namespace about itself."""

    @staticmethod
    def default_device() -> str:
        return HOST

    @staticmethod
    def dtypes(*, device: str | None = None, kind: Any = None) -> dict[str, Any]:
        assert kind == "real floating"
        return {"float32": np.dtype("float32"), "float64": np.dtype("float64")}


class Namespace:
    """The part of the array API standard that the package needs."""

    int64 = np.dtype("int64")
    float32, float64 = np.dtype("float32"), np.dtype("float64")
    __array_namespace_info__ = _Info

    abs, exp, log, log1p = (_elementwise(f) for f in (np.abs, np.exp, np.log, np.log1p))
    sqrt = _elementwise(np.sqrt)
    isfinite, isinf, isnan = (_elementwise(f) for f in (np.isfinite, np.isinf, np.isnan))
    clip, maximum, where = (_elementwise(f) for f in (np.clip, np.maximum, np.where))
    all, any, full_like = (_elementwise(f) for f in (np.all, np.any, np.full_like))
    finfo = staticmethod(lambda dtype: np.finfo(dtype))
    ones_like, zeros_like = _elementwise(np.ones_like), _elementwise(np.zeros_like)
    matmul, matrix_transpose = _elementwise(np.matmul), _elementwise(np.matrix_transpose)
    isdtype = staticmethod(lambda dtype, kind: np.isdtype(np.dtype(dtype), kind))

    @staticmethod
    def asarray(host: Any, *, dtype: Any = None, device: str | None = None) -> Remote:
        if isinstance(host, Remote):
            return host
        values = np.array(host, dtype=dtype)
        LOG.append(Transfer(device or REMOTE, values.shape))
        return Remote(values, device or REMOTE)

    @staticmethod
    def zeros(shape: tuple[int, ...], *, dtype: Any, device: str) -> Remote:
        return Remote(np.zeros(shape, dtype), device)

    @staticmethod
    def ones(shape: tuple[int, ...], *, dtype: Any, device: str) -> Remote:
        return Remote(np.ones(shape, dtype), device)

    @staticmethod
    def arange(stop: int, *, dtype: Any, device: str) -> Remote:
        return Remote(np.arange(stop, dtype=dtype), device)

    @staticmethod
    def unique_inverse(array: Remote) -> tuple[Remote, Remote]:
        values, inverse = np.unique_inverse(_values(array))
        return Remote(values), Remote(inverse)

    @staticmethod
    def astype(array: Remote, dtype: Any, *, copy: bool = True) -> Remote:
        if array.dtype == dtype and not copy:
            return array
        return _applied(lambda values: values.astype(dtype), array)

    @staticmethod
    def sum(array: Remote, *, axis: int | None = None, keepdims: bool = False) -> Remote:
        return _applied(np.sum, array, axis=axis, keepdims=keepdims)

    @staticmethod
    def max(array: Remote, *, axis: int | None = None, keepdims: bool = False) -> Remote:
        return _applied(np.max, array, axis=axis, keepdims=keepdims)

    @staticmethod
    def min(array: Remote, *, axis: int | None = None, keepdims: bool = False) -> Remote:
        return _applied(np.min, array, axis=axis, keepdims=keepdims)

    @staticmethod
    def concat(arrays: Any, *, axis: int = 0) -> Remote:
        return Remote(np.concatenate([_values(array) for array in arrays], axis=axis))

    @staticmethod
    def reshape(array: Remote, shape: tuple[int, ...]) -> Remote:
        return _applied(np.reshape, array, shape=shape)

    @staticmethod
    def take(array: Remote, indices: Remote, *, axis: int = 0) -> Remote:
        return _applied(np.take, array, indices, axis=axis)


Namespace.bool = np.dtype("bool")  # type: ignore[attr-defined] # in the class it would hide Python's
