"""Small data, and partitions brought back to look at."""

import numpy as np
import scipy.sparse as sp

from daskml_exec.partitions import Labels, Numbers, load_checked

N, D = 23, 4


def rows(dtype=np.float64, n=N, d=D):
    """Rows that tell their place: no two values are the same, some columns have zeros."""
    X = np.arange(n * d).reshape(n, d) + 0.5
    X[:, 1] *= np.arange(n) % 3 == 0
    return X.astype(dtype)


def labels(n=N):
    return np.arange(n) * 7 % 3


def weights(n=N):
    return np.arange(n) % 4 / 2.0


def target(n=N):
    """Counts, of which some are zero."""
    return np.arange(n) * 5 % 9 / 2.0


def dense(X):
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def load(executor, X, y, sample_weight=None, *, class_weight=None):
    return load_checked(executor, X, y, sample_weight, target=Labels(class_weight))


def load_target(executor, X, y, sample_weight=None, *, feature_names=None, **options):
    target = Numbers(several=False, **options)
    data = load_checked(executor, X, y, sample_weight, target=target, feature_names=feature_names)
    return data.partitions


def gathered(executor, partitions, *, y_kind="f"):
    """The partitions on the driver, checked to keep what `Partition` and `Partitions` promise."""
    pieces = executor.client.gather(list(partitions.futures))
    assert partitions.executor is executor
    start = 0
    for index, (piece, n_rows) in enumerate(zip(pieces, partitions.rows, strict=True)):
        assert (piece.index, piece.start) == (index, start)
        start += n_rows
        assert piece.X.shape == (n_rows, partitions.n_features)
        assert piece.X.dtype == partitions.dtype
        if sp.issparse(piece.X):
            assert piece.X.format == "csr" and piece.X.has_canonical_format
        else:
            assert isinstance(piece.X, np.ndarray) and piece.X.flags.c_contiguous
        assert piece.y.shape == (n_rows,) and piece.y.dtype.kind == y_kind
        if piece.sample_weight is not None:
            assert piece.sample_weight.shape == (n_rows,)
            assert piece.sample_weight.dtype == np.float64
    return pieces


def whole(pieces):
    """X, y and weights of all partitions in order."""
    weight = [piece.sample_weight for piece in pieces]
    return (
        np.concatenate([dense(piece.X) for piece in pieces]),
        np.concatenate([piece.y for piece in pieces]),
        None if weight[0] is None else np.concatenate(weight),
    )


def check(executor, data, X, y, sample_weight=None):
    """All rows are there, in order. Labels of rows without weight do not matter."""
    pieces = gathered(executor, data.partitions, y_kind="i")
    found_X, found_codes, found_weight = whole(pieces)
    np.testing.assert_array_equal(found_X, X)
    counted = slice(None) if sample_weight is None else sample_weight > 0
    np.testing.assert_array_equal(data.classes[found_codes][counted], np.asarray(y)[counted])
    check_weight(found_weight, sample_weight)


def check_target(executor, partitions, X, y, sample_weight=None):
    """All rows are there, in order, with the target in float64."""
    found_X, found_y, found_weight = whole(gathered(executor, partitions))
    np.testing.assert_array_equal(found_X, X)
    np.testing.assert_array_equal(found_y, np.asarray(y, dtype=np.float64))
    assert found_y.dtype == np.float64
    check_weight(found_weight, sample_weight)


def check_weight(found_weight, sample_weight):
    if sample_weight is None:
        assert found_weight is None
    else:
        np.testing.assert_array_equal(found_weight, sample_weight)
