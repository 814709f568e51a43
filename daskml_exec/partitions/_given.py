"""What is to be loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from daskml_exec.partitions._target import Target


@dataclass(frozen=True, eq=False)
class Given:
    """What somebody holds, and how it is read.

    Attributes
    ----------
    executor : Executor or None
        None leaves what is in memory where it is.
    X, y, sample_weight : Dask collections, lists of futures, or in memory
        The columns in memory if X is. X in memory is known to be a matrix of floats, or anything
        if raw.
    target : Target
    feature_names : tuple of str, or None
        Of data in memory; dataframes on the cluster bring their own.
    raw : bool
        Whether X is not looked at.
    """

    executor: Any
    X: Any
    y: Any
    sample_weight: Any
    target: Target
    feature_names: tuple[str, ...] | None = None
    raw: bool = False
