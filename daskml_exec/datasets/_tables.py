"""Files whose columns have names: CSV and Parquet, as Dask reads them."""

import re
from typing import Any

import dask.dataframe as dd

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


def read_table(url: str, partitions: int | None) -> Any:
    """Return the rows of a file as a Dask dataframe.

    Parameters
    ----------
    url : str
        A path, a URL or a glob.
    partitions : int or None
        Row ranges to cut it into; None for those of the file.
    """
    if _PARQUET.search(url):
        frame = dd.read_parquet(url)
    else:
        packed = _CSV.search(url).group(1) is not None  # type: ignore[union-attr]
        frame = dd.read_csv(url, **({"blocksize": None} if packed else {}))
    return frame if partitions is None else frame.repartition(npartitions=partitions)
