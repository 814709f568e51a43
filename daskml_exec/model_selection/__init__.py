"""Splits into training and test rows, and searches for parameters by scores on held-out ones."""

from daskml_exec.model_selection._cross_val import cross_val_predict, cross_val_score
from daskml_exec.model_selection._grid_search import GridSearchCV, RandomizedSearchCV
from daskml_exec.model_selection._halving_explain import HalvingExplanation
from daskml_exec.model_selection._halving_search import (
    HyperbandSearchCV,
    SuccessiveHalvingSearchCV,
)
from daskml_exec.model_selection._rungs import RungRecord
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
    "GridSearchCV",
    "GroupKFold",
    "HalvingExplanation",
    "HyperbandSearchCV",
    "KFold",
    "PredefinedSplit",
    "RandomizedSearchCV",
    "Rows",
    "RungRecord",
    "ShuffleSplit",
    "StratifiedKFold",
    "SuccessiveHalvingSearchCV",
    "TimeSeriesSplit",
    "cross_val_predict",
    "cross_val_score",
    "train_test_split",
]

publish(__name__, __all__)
