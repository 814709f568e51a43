"""Folds of rows: who tells them, and data whose rows know theirs."""

from daskml_exec.training.folds._batches import (
    BatchResult,
    FitsBatches,
    LostClassError,
    RefitsBatches,
    Searched,
    TrainsOnData,
)
from daskml_exec.training.folds._cross_validation import CrossValidation, cross_validation
from daskml_exec.training.folds._rows import Rows
from daskml_exec.training.folds._splits import (
    Split,
    Splits,
    require_splits,
    splits_of_data,
    splits_of_rows,
)
from daskml_exec.training.folds._splitters import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

__all__ = [
    "BatchResult",
    "CrossValidation",
    "FitsBatches",
    "GroupKFold",
    "KFold",
    "LostClassError",
    "PredefinedSplit",
    "RefitsBatches",
    "Rows",
    "Searched",
    "ShuffleSplit",
    "Split",
    "Splits",
    "StratifiedKFold",
    "TimeSeriesSplit",
    "TrainsOnData",
    "cross_validation",
    "require_splits",
    "splits_of_data",
    "splits_of_rows",
]
