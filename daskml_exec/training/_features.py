"""The columns that an estimator was fitted with, and those of what it is given later."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_feature_names, _check_n_features

from daskml_exec.partitions import (
    frame_meta,
    refuse_unreadable,
    require_features,
    require_matrix,
)


def learn_features(estimator: Any, data: Any, *, reset: bool) -> None:
    """Remember the columns of what was loaded, or compare them with those remembered.

    Parameters
    ----------
    estimator : estimator
    data : Data, or the partitions of one
    reset : bool
    """
    names = data.feature_names
    frame = None if names is None else pd.DataFrame(columns=list(names))
    _check_feature_names(estimator, frame, reset=reset)
    if reset:
        estimator.n_features_in_ = data.n_features
    else:
        require_features(data.n_features, estimator.n_features_in_, type(estimator).__name__)


def check_features(estimator: Any, X: Any) -> None:
    """Compare with the columns of `fit` what is known of a collection without its blocks."""
    require_matrix(X)
    refuse_unreadable(X, "X")
    meta = frame_meta(X)
    if meta is None:
        return  # the blocks of futures may be frames or not, and are looked at where they are
    _check_feature_names(estimator, meta, reset=False)
    if hasattr(meta, "shape") and not np.isnan(meta.shape[1]):
        _check_n_features(estimator, meta, reset=False)


def labels_of_columns(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of `fit`, if they had any."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names)
