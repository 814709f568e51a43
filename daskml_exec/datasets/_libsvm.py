"""`read_libsvm`: text files in the svmlight / libsvm format as Dask arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import dask
import dask.array as da
import numpy as np
from dask.tokenize import tokenize
from numpy.typing import DTypeLike

from daskml_exec.datasets._byte_ranges import (
    ByteRange,
    UrlPath,
    cut_by_size,
    cut_into,
    find_files,
)
from daskml_exec.datasets._libsvm_arguments import (
    check_blocksize,
    check_bool,
    check_count,
    check_dtype,
    check_zero_based,
)
from daskml_exec.datasets._libsvm_parse import (
    ParsedRows,
    ParseOptions,
    RowRange,
    parse_range,
    parse_text,
)
from daskml_exec.datasets._libsvm_scan import Scan, scan_range
from daskml_exec.kernels.arrays import Array


def read_libsvm(
    urlpath: UrlPath | Sequence[UrlPath],
    *,
    n_features: int | None = None,
    blocksize: int | str = "64MiB",
    npartitions: int | None = None,
    dtype: DTypeLike = np.float64,
    zero_based: bool | Literal["auto"] = "auto",
    multilabel: bool = False,
    query_id: bool = False,
) -> tuple[da.Array, ...]:
    r"""Read text files in the svmlight / libsvm format into Dask arrays.

    The files are cut into byte ranges at line ends, and every range is parsed by the compiled
    parser of :func:`sklearn.datasets.load_svmlight_file`, on the worker that needs it. The rows,
    in the order of the files, are those which that function would give.

    Parameters
    ----------
    urlpath : str, os.PathLike, or list of these
        Path or fsspec URL of a file, or a glob. The matches of one glob come in natural order
        ("part-2" before "part-10"). Files with the extension of a compression that fsspec knows
        (".gz", ".bz2", ".xz", ...) are decompressed.
    n_features : int, default=None
        Number of columns of `X`. None takes the largest index found in any file. A number
        spares that search; if it is too small, computing the arrays raises ValueError.
    blocksize : int or str, default="64MiB"
        Largest size of a byte range, in bytes or with a unit. A file is cut into equal ranges,
        each of which is one partition.
    npartitions : int, default=None
        Exact number of partitions over all files together, at least one for each file. It
        takes the place of `blocksize`.
    dtype : numpy dtype, default=np.float64
        Type of the values of `X`, real floating or integer.
    zero_based : bool or "auto", default="auto"
        Whether the first column has index 0 (True) or 1 (False) in the files. "auto" takes 1
        if no index in any of the files is 0.
    multilabel : bool, default=False
        Whether a row has a list of labels, separated by commas and possibly empty.
    query_id : bool, default=False
        Whether to return the query ids, the numbers after "qid:", too. Every row must then
        have one. Otherwise they are passed over.

    Returns
    -------
    X : dask.array.Array of shape (n_rows, n_features)
        The features. Every chunk holds whole rows in the class that scikit-learn returns,
        :class:`scipy.sparse.csr_matrix` unless it is configured to give sparse arrays.
    y : dask.array.Array of shape (n_rows,)
        The labels, float64; with `multilabel`, Python tuples of floats in ascending order.
    query_id : dask.array.Array of shape (n_rows,)
        The query ids, int64. Only if `query_id` is True. All have the same row chunks, and their
        shapes are known.

    Raises
    ------
    FileNotFoundError
        If a path does not exist or a glob matches nothing.
    IsADirectoryError
        If a path, or a match of a glob, is a directory.
    TypeError, ValueError
        If an argument is not allowed.
    ValueError
        From computing the arrays, if a line cannot be parsed. The message names the file and
        the number of the line, counted from 1 in the decompressed text.
    RuntimeError
        From computing the arrays, if a file no longer has the number of rows that it had during
        the call. Other changes are not noticed.

    See Also
    --------
    sklearn.datasets.load_svmlight_file : Reads one file into memory.

    Notes
    -----
    *Byte ranges.* A line belongs to the range in which the line before it ends. A range may hold
    no line at all, and gives an empty partition. A compressed file cannot be entered in the
    middle: it is one partition.

    *Scan.* Shapes must be known before anything is parsed, so the call reads all files once, in
    one parallel computation on the active Dask client or, without one, on the scheduler that Dask
    is configured to use. It counts rows and, unless `n_features` and `zero_based` are both
    given, looks at the first and last index of each line. That takes a few percent of the time
    that parsing takes.

    *Parsing* happens when the arrays are computed. `X` and `y` of a partition come from the same
    task: persist or compute them in one call, ``dask.persist(X, y)``, and each range is parsed
    once. The parser holds Python's global interpreter lock, so that worker processes make it
    faster and threads do not.

    *Differences from scikit-learn.* With `query_id`, a row without one is an error. With several
    files and ``zero_based="auto"``, a file without any index has no influence.

    The format is described at https://www.csie.ntu.edu.tw/~cjlin/libsvm/ and
    https://www.cs.cornell.edu/people/tj/svm_light/.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from daskml_exec.datasets import read_libsvm
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "three_rows.txt")
    ...     _ = path.write_text("+1 1:0.5 3:2  # comment\n-1 2:1\n+1 1:4\n")
    ...     X, y = read_libsvm(path, npartitions=2)
    ...     print(X.shape, X.chunks, y.compute())
    ...     print(X.compute().toarray())
    (3, 3) ((1, 2), (3,)) [ 1. -1.  1.]
    [[0.5 0.  2. ]
     [0.  1.  0. ]
     [4.  0.  0. ]]
    """
    arrays, _ = read_with_options(
        urlpath,
        n_features=n_features,
        blocksize=blocksize,
        npartitions=npartitions,
        dtype=dtype,
        zero_based=zero_based,
        multilabel=multilabel,
        query_id=query_id,
    )
    return arrays


def read_with_options(
    urlpath: UrlPath | Sequence[UrlPath],
    *,
    n_features: int | None = None,
    blocksize: int | str = "64MiB",
    npartitions: int | None = None,
    dtype: DTypeLike = np.float64,
    zero_based: bool | Literal["auto"] = "auto",
    multilabel: bool = False,
    query_id: bool = False,
    finite: bool = False,
) -> tuple[tuple[da.Array, ...], ParseOptions]:
    """Return the arrays of `read_libsvm`, and what its "auto" and None came to.

    With `finite`, a value or label that is not finite is an error that names its place in the file.
    """
    known_width = check_count("n_features", n_features)
    known_base = check_zero_based(zero_based)
    partition_count = check_count("npartitions", npartitions)
    max_bytes = check_blocksize(blocksize)
    matrix_dtype = check_dtype(dtype)
    multilabel = check_bool("multilabel", multilabel)
    query_id = check_bool("query_id", query_id)

    files = find_files(urlpath)
    if partition_count is None:
        ranges = cut_by_size(files, max_bytes)
    else:
        ranges = cut_into(files, partition_count)
    scans = _scan_all(
        ranges,
        find_smallest=known_base is None,
        find_largest=known_width is None,
        multilabel=multilabel,
    )
    base = _zero_based(scans) if known_base is None else known_base
    options = ParseOptions(
        n_features=_width(scans, base) if known_width is None else known_width,
        dtype=matrix_dtype,
        zero_based=base,
        multilabel=multilabel,
        query_id=query_id,
        finite=finite,
    )
    return _arrays(_row_ranges(ranges, scans), options), options


def _scan_all(
    ranges: Sequence[ByteRange], *, find_smallest: bool, find_largest: bool, multilabel: bool
) -> Sequence[Scan]:
    # Without a client or a configured scheduler this runs in threads. They overlap the reading
    # and decompressing of several files, and need no importable main module as processes do.
    scan = dask.delayed(scan_range)
    scans: tuple[Scan, ...] = dask.compute(
        *(
            scan(
                byte_range,
                find_smallest=find_smallest,
                find_largest=find_largest,
                multilabel=multilabel,
            )
            for byte_range in ranges
        )
    )
    return scans


def _zero_based(scans: Iterable[Scan]) -> bool:
    """Apply scikit-learn's rule: one-based if there are indices and all are positive."""
    return min((scan.smallest for scan in scans if scan.smallest is not None), default=0) <= 0


def _width(scans: Iterable[Scan], zero_based: bool) -> int:
    largest = max((scan.largest for scan in scans if scan.largest is not None), default=0)
    return max(1, largest + 1 if zero_based else largest)


def _row_ranges(ranges: Sequence[ByteRange], scans: Sequence[Scan]) -> list[RowRange]:
    rows: list[RowRange] = []
    next_line = 1
    for byte_range, scan in zip(ranges, scans, strict=True):
        if byte_range.start == 0:
            next_line = 1
        rows.append(RowRange(byte_range, scan.rows, next_line))
        next_line += scan.lines
    return rows


def _arrays(row_ranges: Sequence[RowRange], options: ParseOptions) -> tuple[da.Array, ...]:
    descriptions = np.fromiter(row_ranges, dtype=object, count=len(row_ranges))
    token = tokenize("read_libsvm", row_ranges, options)
    # Every "chunk" of `parsed` is one ParsedRows, which X, y and the query ids share.
    parsed = da.from_array(descriptions, chunks=1, name=f"libsvm-ranges-{token}").map_blocks(
        _parse_chunk, options=options, dtype=object, meta=np.empty(0, dtype=object)
    )
    empty = parse_text(b"", options)
    row_chunks = tuple(row_range.rows for row_range in row_ranges)
    X = parsed.map_blocks(
        _features,
        type(empty.X),
        dtype=empty.X.dtype,
        chunks=(row_chunks, (options.n_features,)),
        new_axis=1,
        meta=empty.X,
    )
    y = parsed.map_blocks(_labels, dtype=empty.y.dtype, chunks=(row_chunks,), meta=empty.y)
    if not options.query_id:
        return X, y
    query_id = parsed.map_blocks(
        _query_ids, dtype=np.dtype(np.int64), chunks=(row_chunks,), meta=empty.query_id
    )
    return X, y, query_id


def _parse_chunk(descriptions: Array, options: ParseOptions) -> ParsedRows:
    (row_range,) = descriptions
    return parse_range(row_range, options)


def _features(parsed: ParsedRows, matrix_class: type) -> Any:
    # A worker may be configured for another sparse class than the process that described X.
    return matrix_class(parsed.X, copy=False)


def _labels(parsed: ParsedRows) -> Array:
    return parsed.y


def _query_ids(parsed: ParsedRows) -> Array:
    assert parsed.query_id is not None
    return parsed.query_id
