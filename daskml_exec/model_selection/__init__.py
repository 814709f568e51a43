"""Splits of collections into training and test rows, without copies on the driver."""

from daskml_exec.model_selection._train_test import train_test_split
from daskml_exec.training import publish
from daskml_exec.training.folds import (
    GroupKFold,
    KFold,
    PredefinedSplit,
    Rows,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

__all__ = [
    "GroupKFold",
    "KFold",
    "PredefinedSplit",
    "Rows",
    "ShuffleSplit",
    "StratifiedKFold",
    "TimeSeriesSplit",
    "train_test_split",
]

publish(__name__, __all__)
