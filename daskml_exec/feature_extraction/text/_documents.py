"""Documents as users hold them: what is none is refused by its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.executor import as_dask_futures
from daskml_exec.partitions import (
    FUTURES,
    Data,
    column_labels,
    is_collection,
    kind_of,
    refuse_unreadable,
)

_ALLOWED = "a list, NumPy array, pandas or Dask series, Dask bag, 1-D Dask array, list of futures"


def given_documents(X: Any, who: str) -> Any:
    """Return documents as what can be cut: a collection, an array, a series or a list.

    Parameters
    ----------
    X : anything
    who : str
        Is to read them, for messages.

    Raises
    ------
    ValueError
        A text in place of several, or more than one dimension.
    TypeError
        A frame, or what has no documents.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError(
            "Iterable over raw text documents expected, string object received: X is of "
            f"{type(X).__name__}; allowed are several documents, as [X]"
        )
    if isinstance(X, Data):
        raise TypeError(f"X is a Data; {who} takes what it was loaded from: {_ALLOWED}")
    X = as_dask_futures(X)
    refuse_unreadable(X, "X", dates=False)
    labels = column_labels(X)
    if labels is not None:
        some = labels[0] if labels else "column"
        raise TypeError(
            f"X is a dataframe with the columns {labels}; {who} takes the documents of one: "
            f"X[{some!r}]"
        )
    n = getattr(X, "ndim", 1)
    if n != 1 and kind_of(X) != FUTURES:
        raise ValueError(
            f"X has {n} dimensions; {who} takes documents along one: X[:, column] or X.ravel()"
        )
    if is_collection(X) or isinstance(X, (list, np.ndarray, pd.Series)):
        return X
    try:
        return list(X)
    except TypeError as error:
        raise TypeError(
            f"X is {'None' if X is None else f'of {type(X).__name__}'}; allowed is {_ALLOWED}"
        ) from error


def documents_of(block: Any, *, texts: bool, start: int | None, where: str) -> list[Any]:
    """Return the documents of a block as a list.

    Parameters
    ----------
    block : array, series or list
    texts : bool
        Whether they must be texts.
    start : int or None
        Documents before the block, for messages, where that is known.
    where : str
        The block, for messages.

    Raises
    ------
    TypeError
        A document is no text, or missing; the block is a frame.
    ValueError
        The block has two dimensions.
    """
    labels = column_labels(block)
    if labels is not None:
        raise TypeError(
            f"{where} of X is a dataframe with the columns {labels}; allowed are blocks of the "
            "documents of one column"
        )
    if getattr(block, "ndim", 1) != 1:
        raise ValueError(
            f"{where} of X has {block.ndim} dimensions; allowed are documents along one"
        )
    found = block.tolist() if hasattr(block, "tolist") else list(block)
    if texts and not set(map(type, found)) <= {str, bytes}:
        for row, document in enumerate(found):
            if not isinstance(document, (str, bytes)):
                name = getattr(block, "name", None)
                column = f", column {name!r}," if isinstance(name, str) else ""
                place = f"document {row}" if start is None else f"document {start + row}"
                within = "of" if start is None else "in"
                raise TypeError(
                    f"{place} {within} {where}{column} is {_in_words(document)}; allowed "
                    "are str and bytes: leave such documents out, or put '' in their place"
                )
    return found


def texts_of(documents: list[Any], decode: Any) -> list[str]:
    """Return documents as texts, with bytes decoded."""
    if set(map(type, documents)) <= {str}:
        return documents
    return [str(decode(document)) for document in documents]


def _in_words(document: Any) -> str:
    if document is None or document is pd.NA:
        return f"missing ({document})"
    if isinstance(document, float) and np.isnan(document):
        return "missing (np.nan is an invalid document)"
    return f"{str(document)[:40]!r} of {type(document).__name__}"
