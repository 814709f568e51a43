"""Files whose columns have names: CSV and Parquet, as Dask reads them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import dask.dataframe as dd

from daskml_exec.datasets._csv import read_csv

_CSV = re.compile(r"\.csv(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)
_PARQUET = re.compile(r"\.(parquet|pq)/?$", re.IGNORECASE)


def is_table(url: str) -> bool:
    """Whether a file's name says that its columns have names.

    Examples
    --------
    >>> is_table("flights.csv.gz"), is_table("s3://bucket/flights.parquet"), is_table("a.libsvm")
    (True, True, False)
    """
    return bool(_CSV.search(url) or _PARQUET.search(url))


def read_table(
    url: str,
    partitions: int | None,
    choose: Callable[[Sequence[str]], Sequence[str]],
    texts: Sequence[str] = (),
) -> Any:
    """Return the rows of a file as a Dask dataframe.

    Parameters
    ----------
    url : str
        A path, a URL or a glob.
    partitions : int or None
        Row ranges to cut it into; None for those of the file.
    choose : callable
        Given the names of all columns, returns those to read.
    texts : sequence of str
        Columns that a CSV file is to have as texts, whatever they look like.
    """
    if _PARQUET.search(url):
        frame = _read_parquet(url)
        frame = frame[list(choose(list(frame.columns)))]
    else:
        frame = read_csv(url, choose, texts)
    return frame if partitions is None else frame.repartition(npartitions=partitions)


def _read_parquet(url: str) -> Any:
    try:
        return dd.read_parquet(url)
    except Exception as error:
        # Dask writes of its dispatch in front of what is wrong with the file.
        if error.__cause__ is not None and str(error.__cause__) in str(error):
            raise error.__cause__ from None
        raise
