"""Files whose columns have names: CSV and Parquet, and what makes numbers of them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline, make_pipeline

from daskml_exec.cli._errors import CommandError
from daskml_exec.preprocessing import (
    ColumnTransformer,
    OneHotEncoder,
    SimpleImputer,
    StandardScaler,
)


def apart(frame: Any, target: str, dropped: Sequence[str], url: str) -> tuple[Any, Any]:
    """Return the columns to learn from and the one to predict.

    Raises
    ------
    CommandError
        The file has no such column, or no other, or one of dates.
    """
    for option, names in (("--target", [target]), ("--drop", dropped)):
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
    return X, frame[target]


def in_front(estimator: Any, X: Any) -> Pipeline:
    """Return a pipeline that makes numbers of the columns, and then fits.

    Gaps between numbers become the column's mean, and columns are scaled to unit variance. Of
    texts and categories each value that occurs becomes a column; others are none of them.
    """
    is_number = {name: pd.api.types.is_numeric_dtype(dtype) for name, dtype in X.dtypes.items()}
    parts = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), True),
        ("texts", OneHotEncoder(handle_unknown="ignore"), False),
    ]
    columns = ColumnTransformer(
        [
            (name, step, [each for each in X.columns if is_number[each] == numbers])
            for name, step, numbers in parts
            if numbers in is_number.values()
        ],
        verbose_feature_names_out=False,
    )
    return make_pipeline(columns, estimator)
