"""Choose between data parallel and model parallel fits."""

from dataclasses import dataclass

from daskml_exec.executor import SHARE_OF_DATA, Capacity, bytes_text
from daskml_exec.partitions import ColumnChunks

DATA, MODEL = "data", "model"
SOLVERS_OF_MODEL = ("auto", "lbfgs")
SOLVERS_OF_L1 = ("auto", "newton")
# Vectors as long as the coefficients that a data parallel round has on a worker at once: the
# parameters, a partial sum, two that are combined, and their copies in messages.
_VECTORS = 6


@dataclass(frozen=True)
class Choice:
    """How a fit is cut, and why.

    Attributes
    ----------
    parallel : {"data", "model"}
    reason : str
    """

    parallel: str
    reason: str


def choose(
    n_features: int | None, chunks: ColumnChunks | None, capacity: Capacity, *, solver: str
) -> Choice:
    """Return the choice of ``parallel="auto"``: "data" unless that does not fit in memory.

    Parameters
    ----------
    n_features : int or None
        None where it is not known before the data is computed.
    chunks : ColumnChunks or None
        Of a Dask array; None for all else, which holds whole rows anyway.
    capacity : Capacity
        Of the workers.
    solver : str
        One that only data parallel fits have rules out the other.

    Examples
    --------
    >>> choose(10, None, Capacity(2_000_000_000), solver="auto").parallel
    'data'
    >>> chunks = ColumnChunks((50_000, 50_000), most_rows=10_000, itemsize=8, sparse=False)
    >>> print(choose(100_000, chunks, Capacity(2_000_000_000), solver="auto").reason)
    a row chunk with all columns takes 8 GB, more than 0.3 of the smallest worker's 2 GB
    """
    if solver not in SOLVERS_OF_MODEL:
        return Choice(DATA, f"solver={solver!r} needs whole rows")
    room = capacity.for_data
    if room is None:
        return Choice(DATA, "the workers have no memory limit")
    limit = f"more than {SHARE_OF_DATA:g} of the smallest worker's {capacity}"
    if n_features is not None and (need := 8.0 * _VECTORS * n_features) > room:
        return Choice(
            MODEL,
            f"vectors of {n_features:,} coefficients take {bytes_text(need)} on a worker, {limit}",
        )
    if chunks is None or len(chunks.widths) < 2:
        return Choice(DATA, "X is not chunked along its features")
    if chunks.most_rows is None or chunks.sparse:
        return Choice(DATA, "the size of a row chunk of X is not known before it is computed")
    merged = float(chunks.most_rows) * sum(chunks.widths) * chunks.itemsize
    if merged > room:
        return Choice(MODEL, f"a row chunk with all columns takes {bytes_text(merged)}, {limit}")
    return Choice(DATA, f"a row chunk with all columns takes {bytes_text(merged)}, which fits")
