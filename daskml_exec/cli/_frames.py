"""Files whose columns have names: CSV and Parquet, and what makes numbers of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline, make_pipeline

from daskml_exec.cli._errors import CommandError
from daskml_exec.cli._values import refused
from daskml_exec.feature_extraction.text import TfidfVectorizer
from daskml_exec.preprocessing import (
    ColumnTransformer,
    OneHotEncoder,
    SimpleImputer,
    StandardScaler,
)


def to_learn_from(
    columns: Sequence[str], target: str, dropped: Sequence[str], text: str | None, url: str
) -> list[str]:
    """Return which of the columns of a file are wanted: the target, and those to learn from.

    Raises
    ------
    CommandError
        The file has no such column, or none beside the target.
    """
    read = [] if text is None else [text]
    for option, names in (("--target", [target]), ("--drop", dropped), ("--text", read)):
        for name in names:
            if name not in columns:
                raise CommandError(
                    f"{option} {name}: {url} has no such column; allowed are "
                    f"{', '.join(map(str, columns))}"
                )
    wanted = [name for name in columns if name not in dropped]
    if len(wanted) == 1:
        raise CommandError(f"{url} has no column beside {target}: there is nothing to learn from")
    return wanted


def to_test_with(columns: Sequence[str], names: Sequence[str], target: str, url: str) -> list[str]:
    """Return the columns of a test file that are wanted: those that a model learnt from.

    Raises
    ------
    CommandError
        The file lacks one.
    """
    missing = [name for name in (*names, target) if name not in columns]
    if missing:
        raise CommandError(
            f"--test {url} lacks the columns {', '.join(missing)} of the training file"
        )
    return [*names, target]


def apart(frame: Any, target: str, text: str | None, url: str) -> tuple[Any, Any]:
    """Return the columns to learn from and the one to predict.

    Raises
    ------
    CommandError
        A column has dates, or no texts where these are wanted.
    """
    for name, dtype in frame.dtypes.items():
        if pd.api.types.is_datetime64_any_dtype(dtype) or dtype.kind == "m":
            raise CommandError(refused(str(name), f"dates ({dtype})", target, text, url))
        if name == text and pd.api.types.is_numeric_dtype(dtype):
            raise CommandError(refused(str(name), f"numbers ({dtype})", target, text, url))
    if re.match("decimal|binary|large_binary", str(frame.dtypes[target])):
        raise CommandError(refused(target, str(frame.dtypes[target]), target, text, url))
    X = frame.drop(columns=[target])
    # Whose gaps are no NaN, and which encoders and imputers take for objects.
    decimals = [name for name, dtype in X.dtypes.items() if str(dtype).startswith("decimal")]
    return X.astype(dict.fromkeys(decimals, "Float64")), frame[target]


def require_alike(frame: Any, training: Mapping[str, Any], url: str) -> None:
    """Raise CommandError where columns have numbers in one file and texts in the other.

    Parameters
    ----------
    frame : Dask dataframe
        Of the test file.
    training : mapping of str to dtype
        The types of columns in the training file.
    url : str
        The test file.
    """
    for name, dtype in frame.dtypes.items():
        ours, theirs = map(pd.api.types.is_numeric_dtype, (dtype, training[name]))
        if ours != theirs:
            kinds = {True: "numbers", False: "texts"}
            raise CommandError(
                f"--test {url}: the column {name} has {kinds[ours]} ({dtype}), and "
                f"{kinds[theirs]} ({training[name]}) in the training file; allowed is one kind"
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
