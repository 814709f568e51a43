"""Trees of samples: dicts and tuples of arrays of numbers with one leading axis."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from array_api_compat import is_array_api_obj

from daskml_exec.kernels.array_namespace import is_host, to_host
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions._refusals import refuse_unreadable
from daskml_exec.partitions._trees import leaves_of, with_leaves

ALLOWED = "allowed are arrays, frames and lists of numbers, and dicts and tuples of them"


def as_samples(tree: Any, name: str) -> Any:
    """Return a tree in memory with NumPy arrays as its leaves, which have as many samples.

    Parameters
    ----------
    tree : array, frame, series, tensor or list of numbers, or a dict or tuple of them
    name : str
        Path of the argument, for messages; what is of ``y`` may be text, as labels are.

    Raises
    ------
    TypeError, ValueError
        A leaf is not of numbers or booleans, or is ragged; lengths differ.

    Examples
    --------
    >>> as_samples({"image": [[1, 2], [3, 4]], "label": np.array([True, False])}, "X")
    {'image': array([[1, 2],
           [3, 4]]), 'label': array([ True, False])}
    """
    found = leaves_of(tree, name)
    arrays = [_with_axis(as_numbers(leaf, path), path) for path, leaf in found]
    require_same_lengths([(path, len(a)) for (path, _), a in zip(found, arrays, strict=True)])
    return with_leaves(tree, arrays)


def stacked_samples(
    samples: Sequence[Any],
    name: str,
    where: str,
    first: int = 0,
    leaf: Callable[[Any, str], Array] | None = None,
) -> Any:
    """Return samples, each a tree without a leading axis, as one tree with it.

    Parameters
    ----------
    samples : sequence of trees
        At least one.
    name, where : str
        Of the argument, and what the samples are of, for messages.
    first : int
        Number of the first sample, for messages.
    leaf : callable, optional
        Makes an array of a leaf and its path. By default `as_numbers`: leaves are numbers, arrays,
        tensors and lists of numbers. A column of texts or objects has one of them per sample.

    Raises
    ------
    TypeError, ValueError
        A leaf is not of numbers, or samples have different leaves or shapes.

    Examples
    --------
    >>> stacked_samples([(np.array([1, 2]), True), (np.array([3, 4]), False)], "X", "the bag")
    (array([[1, 2],
           [3, 4]]), array([ True, False]))
    """
    leaf = as_numbers if leaf is None else leaf
    paths = [path for path, _ in leaves_of(samples[0], name)]
    columns: list[list[Array]] = [[] for _ in paths]
    for number, sample in enumerate(samples, first):
        found = leaves_of(sample, name)
        if [path for path, _ in found] != paths:
            raise ValueError(
                f"sample {number} of {where} has {', '.join(path for path, _ in found)}, sample "
                f"{first} has {', '.join(paths)}; allowed are the same in each"
            )
        for column, (path, value) in zip(columns, found, strict=True):
            try:
                column.append(leaf(value, path))
            except (TypeError, ValueError) as error:
                error.add_note(f"in sample {number} of {where}")
                raise
    made = [
        _column(column, path, where, first) for column, path in zip(columns, paths, strict=True)
    ]
    return with_leaves(samples[0], made)


def objects(values: Sequence[Any]) -> Any:
    """Return a column of objects, whatever these are.

    Examples
    --------
    >>> objects([[1, 2], [3]])
    array([list([1, 2]), list([3])], dtype=object)
    """
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def _column(column: list[Array], path: str, where: str, first: int) -> Array:
    if any(array.ndim == 0 and array.dtype.kind in "OUSV" for array in column):
        return objects([array[()] if array.ndim else array.item() for array in column])
    for number, array in enumerate(column, first):
        if array.shape != column[0].shape:
            raise ValueError(
                f"{path} has shape {array.shape} in sample {number} of {where}, and "
                f"{column[0].shape} in sample {first}; allowed is one shape: pad the samples, or "
                "cut them"
            )
    return np.stack(column)


def as_numbers(leaf: Any, name: str) -> Array:
    """Return what holds numbers or booleans as a NumPy array of its own dtype.

    Raises
    ------
    TypeError, ValueError
        It holds something else, or is ragged.

    Examples
    --------
    >>> import pandas as pd
    >>> as_numbers(pd.DataFrame({"age": [30, 40], "height": [1.7, 1.8]}), "X")
    array([[30. ,  1.7],
           [40. ,  1.8]])
    """
    if isinstance(leaf, (dict, tuple)) and not sp.issparse(leaf):
        raise ValueError(f"{name} is an empty {type(leaf).__name__}; {ALLOWED}")
    if type(leaf) in (bool, int, float) or (isinstance(leaf, str) and _may_be_text(name)):
        array = np.asarray(leaf)
    elif type(leaf) is np.ndarray and leaf.dtype.kind in "biuf":
        array = leaf  # nothing is wrong with it, of which there may be one per sample
    elif leaf is None or isinstance(leaf, (str, bytes, set, frozenset)):
        raise TypeError(f"{name} is {'None' if leaf is None else f'of {_kind(leaf)}'}; {ALLOWED}")
    elif sp.issparse(leaf):
        raise TypeError(f"{name} is a SciPy sparse matrix; allowed are dense arrays: toarray()")
    elif hasattr(leaf, "detach") and hasattr(leaf, "numpy"):
        array = _of_tensor(leaf, name)
    else:
        refuse_unreadable(leaf, name)
        array = _of_frame(leaf, name) if isinstance(leaf, pd.DataFrame) else _array(leaf, name)
    if array.dtype.kind in "OTU" and _may_be_text(name):
        return _texts(array, name)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} has dtype {array.dtype}{_of_what(leaf)}; allowed are integers, real numbers "
            "and booleans"
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def require_same_lengths(lengths: Sequence[tuple[str, int]]) -> None:
    """Raise ValueError unless all of these paths have as many samples."""
    first, length = lengths[0]
    for name, other in lengths[1:]:
        if other != length:
            raise ValueError(
                f"{first} has {length} samples, {name} has {other}; they must be the same"
            )


def without_rows(tree: Any) -> Any:
    """Return a tree of arrays without their samples, which tells dtypes and shapes.

    Examples
    --------
    >>> without_rows({"image": np.ones((3, 2), dtype=np.uint8)})
    {'image': array([], shape=(0, 2), dtype=uint8)}
    """
    found = [array for _, array in leaves_of(tree, "")]
    return with_leaves(tree, [np.empty((0, *array.shape[1:]), array.dtype) for array in found])


def in_common(trees: Sequence[Any], places: Sequence[str], name: str) -> Any:
    """Return the tree without samples that several agree to, with dtypes that hold all of theirs.

    Parameters
    ----------
    trees : sequence of trees of arrays
    places : sequence of str
        Where each one is, for messages.
    name : str
        Of the argument, likewise.

    Raises
    ------
    ValueError
        They have other leaves, or others shapes of samples.

    Examples
    --------
    >>> in_common([np.ones((2, 3)), np.ones((1, 3), dtype=int)], ["here", "there"], "X")
    array([], shape=(0, 3), dtype=float64)
    """
    found = [leaves_of(tree, name) for tree in trees]
    first = found[0]
    for place, each in zip(places, found, strict=True):
        if [path for path, _ in each] != [path for path, _ in first]:
            raise ValueError(
                f"{place} has {', '.join(path for path, _ in each)}, {places[0]} has "
                f"{', '.join(path for path, _ in first)}; all must have the same"
            )
        for (path, array), (_, other) in zip(each, first, strict=True):
            if array.shape[1:] != other.shape[1:]:
                raise ValueError(
                    f"{path} has samples of shape {array.shape[1:]} in {place}, and of "
                    f"{other.shape[1:]} in {places[0]}; allowed is one shape"
                )
            if (array.dtype.kind == "U") != (other.dtype.kind == "U"):
                raise TypeError(
                    f"{path} has dtype {array.dtype} in {place}, and {other.dtype} in {places[0]}; "
                    "allowed are texts in all, or numbers"
                )
    return with_leaves(
        trees[0],
        [
            np.empty((0, *leaves[0][1].shape[1:]), np.result_type(*(a.dtype for _, a in leaves)))
            for leaves in zip(*found, strict=True)
        ],
    )


def in_dtypes(tree: Any, like: Any) -> Any:
    """Return C-ordered arrays in the dtypes of another tree: those that are so already, as are.

    Examples
    --------
    >>> in_dtypes(np.array([1, 2]), np.empty(0))
    array([1., 2.])
    """
    pairs = zip(leaves_of(tree, ""), leaves_of(like, ""), strict=True)
    return with_leaves(tree, [np.ascontiguousarray(a, other.dtype) for (_, a), (_, other) in pairs])


def in_words(tree: Any, name: str) -> list[str]:
    """Return path, dtype and shape of a sample of each leaf.

    Examples
    --------
    >>> in_words({"image": np.empty((0, 28, 28), np.uint8), "label": np.empty(0)}, "X")
    ["X['image'] uint8[28, 28]", "X['label'] float64"]
    """
    found = leaves_of(tree, name)
    return [f"{path} {a.dtype}{list(a.shape[1:]) if a.ndim > 1 else ''}" for path, a in found]


def _may_be_text(name: str) -> bool:
    """Whether a path is of y: labels are compared and never computed with."""
    return name.startswith("y")


def _texts(array: Array, name: str) -> Array:
    """Return texts as an array of them.

    Raises
    ------
    TypeError
        There is something else among them.
    """
    if array.dtype.kind == "O":
        for number, value in enumerate(array.reshape(-1).tolist()):
            if not isinstance(value, str):
                raise TypeError(
                    f"{name} has {value!r} of {_kind(value)} in sample {number}, among values of "
                    "dtype object; allowed are texts alone, or integers, real numbers and booleans "
                    "of a dtype of their own"
                )
    return array.astype(np.str_, copy=False)


def _with_axis(array: Array, name: str) -> Array:
    if array.ndim == 0:
        raise TypeError(f"{name} is a single number, without an axis of samples; {ALLOWED}")
    return array


def _array(leaf: Any, name: str) -> Array:
    # NumPy's scalars say of themselves that they are arrays, and cannot be transferred as one.
    if is_array_api_obj(leaf) and not is_host(leaf) and not isinstance(leaf, np.generic):
        return to_host(leaf)
    try:
        return np.asarray(leaf)
    except ValueError as error:
        if isinstance(leaf, list):
            other = _first_other(leaf)
            raise ValueError(f"{name} is ragged{other}; allowed is one shape") from error
        raise


def _of_tensor(tensor: Any, name: str) -> Array:
    """Return the values of a torch tensor, without torch."""
    kind = getattr(tensor.device, "type", "cpu")
    if kind != "cpu":
        raise TypeError(f"{name} is a tensor on {kind}; allowed are tensors on the CPU: cpu()")
    try:
        return np.asarray(tensor.detach().numpy())
    except (TypeError, RuntimeError) as error:  # sparse, or of a dtype that NumPy lacks
        raise TypeError(
            f"{name} is a tensor of {tensor.dtype} that NumPy cannot hold ({error}); allowed are "
            "dense tensors of NumPy's dtypes, for example those of float()"
        ) from error


def _of_frame(frame: pd.DataFrame, name: str) -> Array:
    columns = [frame.iloc[:, position].to_numpy() for position in range(frame.shape[1])]
    if not columns:
        raise ValueError(f"{name} is a frame without columns; {ALLOWED}")
    for label, column in zip(frame.columns, columns, strict=True):
        if column.dtype.kind not in "biuf":
            raise TypeError(
                f"{name} has dtype {frame[label].dtype} in column {label!r}; allowed are "
                "integers, real numbers and booleans"
            )
    if len(set(frame.dtypes)) == 1 and isinstance(frame.dtypes.iloc[0], np.dtype):
        return frame.to_numpy()
    return np.column_stack(columns)


def _of_what(leaf: Any) -> str:
    """Say what a leaf is that has become an array of objects, unless it is an array itself."""
    return "" if hasattr(leaf, "dtype") or isinstance(leaf, list) else f" and is of {_kind(leaf)}"


def _first_other(samples: list[Any]) -> str:
    """Say which sample has another shape than the first, as far as samples have shapes."""
    shapes = []
    with contextlib.suppress(ValueError):
        for number, sample in enumerate(samples):
            shapes.append(np.shape(sample))
            if shapes[-1] != shapes[0]:
                return f": sample {number} has shape {shapes[-1]}, sample 0 has {shapes[0]}"
    return f": sample {len(shapes)} is so itself"


def _kind(value: Any) -> str:
    return type(value).__name__
