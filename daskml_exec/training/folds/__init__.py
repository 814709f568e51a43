"""Folds of rows: who tells them, and data whose rows know theirs."""

from daskml_exec.training.folds._cross_validation import CrossValidation, cross_validation
from daskml_exec.training.folds._rows import Rows
from daskml_exec.training.folds._splitters import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

__all__ = [
    "CrossValidation",
    "GroupKFold",
    "KFold",
    "PredefinedSplit",
    "Rows",
    "ShuffleSplit",
    "StratifiedKFold",
    "TimeSeriesSplit",
    "cross_validation",
]
