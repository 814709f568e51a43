"""Files whose columns have names: CSV and Parquet, and what makes numbers of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline, make_pipeline

from daskml_exec.cli._errors import CommandError
from daskml_exec.feature_extraction.text import TfidfVectorizer
from daskml_exec.preprocessing import (
    ColumnTransformer,
    OneHotEncoder,
    SimpleImputer,
    StandardScaler,
)


def apart(
    frame: Any, target: str, dropped: Sequence[str], text: str | None, url: str
) -> tuple[Any, Any]:
    """Return the columns to learn from and the one to predict.

    Raises
    ------
    CommandError
        The file has no such column, or no other, or one of dates, or no texts in that of texts.
    """
    read = [] if text is None else [text]
    for option, names in (("--target", [target]), ("--drop", dropped), ("--text", read)):
        for name in names:
            if name not in frame.columns:
                raise CommandError(
                    f"{option} {name}: {url} has no such column; allowed are "
                    f"{', '.join(map(str, frame.columns))}"
                )
    X = frame.drop(columns=[target, *dropped])
    if not len(X.columns):
        raise CommandError(f"{url} has no column beside {target}: there is nothing to learn from")
    for name, dtype in X.dtypes.items():
        if pd.api.types.is_datetime64_any_dtype(dtype) or dtype.kind == "m":
            raise CommandError(
                f"the column {name} of {url} has dates ({dtype}); allowed are numbers and texts: "
                f"leave it out with --drop {name}"
            )
        if name == text and pd.api.types.is_numeric_dtype(dtype):
            raise CommandError(
                f"--text {text}: the column of {url} has numbers ({dtype}); allowed are texts"
            )
    return X, frame[target]


def count_rows(block: pd.DataFrame, text: str | None) -> pd.DataFrame:
    """Return a row: how many rows a block has, how many have no text, and the first of these."""
    gaps = np.zeros(len(block), bool) if text is None else block[text].isna().to_numpy(bool)
    first = int(gaps.argmax()) if gaps.any() else 0
    return pd.DataFrame({"rows": [len(block)], "gaps": [int(gaps.sum())], "first": [first]})


def require_texts(counts: pd.DataFrame, text: str | None, url: str) -> None:
    """Raise CommandError if a row has no text.

    Parameters
    ----------
    counts : DataFrame
        What `count_rows` says of each partition.
    text : str or None
        The column.
    url : str
        The file.
    """
    with_gaps = np.flatnonzero(counts["gaps"])
    if len(with_gaps):
        partition = int(with_gaps[0])
        row = int(counts["rows"].iloc[:partition].sum() + counts["first"].iloc[partition])
        raise CommandError(
            f"--text {text}: {url} has no text in {int(counts['gaps'].sum()):,} of "
            f"{int(counts['rows'].sum()):,} rows, the first of which is row {row} (counted from 0; "
            f"in partition {partition}); leave such rows out of the file"
        )


def in_front(estimator: Any, X: Any, text: str | None) -> Pipeline:
    """Return a pipeline that makes numbers of the columns, and then fits.

    Gaps between numbers become the column's mean, and columns are scaled to unit variance. Of
    texts and categories each value that occurs becomes a column; others are none of them. Of the
    column `text` each word does, with its TF-IDF weight.
    """
    is_number = {
        name: pd.api.types.is_numeric_dtype(dtype)
        for name, dtype in X.dtypes.items()
        if name != text
    }
    parts = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), True),
        ("texts", OneHotEncoder(handle_unknown="ignore"), False),
    ]
    columns = ColumnTransformer(
        [
            (name, step, [each for each in is_number if is_number[each] == numbers])
            for name, step, numbers in parts
            if numbers in is_number.values()
        ]
        + ([] if text is None else [("words", TfidfVectorizer(), text)]),
        # A word may be called as a column is.
        verbose_feature_names_out=text is not None,
        sparse_threshold=0.3 if text is None else 1.0,
    )
    return make_pipeline(columns, estimator)
