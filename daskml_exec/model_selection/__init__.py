"""Splits of collections into training and test rows, and searches for parameters."""

from daskml_exec.model_selection._halving_search import (
    HyperbandSearchCV,
    SuccessiveHalvingSearchCV,
)
from daskml_exec.model_selection._rungs import RungRecord
from daskml_exec.model_selection._search_explain import SearchExplanation
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
    "HyperbandSearchCV",
    "KFold",
    "PredefinedSplit",
    "Rows",
    "RungRecord",
    "SearchExplanation",
    "ShuffleSplit",
    "StratifiedKFold",
    "SuccessiveHalvingSearchCV",
    "TimeSeriesSplit",
    "train_test_split",
]

publish(__name__, __all__)
