"""Columns that were encoded fold by fold, beside those that are transformed block by block."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from daskml_exec.partitions import FRAME, kind_of
from daskml_exec.preprocessing._preprocessor import BlockFunction


def beside(X: Any, crossed: Mapping[str, Any]) -> Any:
    """Return a Dask dataframe with the columns of others behind its own, block by block.

    Parameters
    ----------
    X : Dask dataframe
    crossed : dict of Dask dataframes
        By the name of a transformer, each with the rows of X.

    Raises
    ------
    ValueError
        What a transformer has made is no dataframe.
    """
    for name, made in crossed.items():
        if kind_of(made) != FRAME:
            raise ValueError(
                f"the transformer {name!r} makes sparse rows behind a TargetEncoder; allowed in "
                "fit_transform over Dask dataframes are dense ones, such as of sparse_output=False"
            )
    frames = list(crossed.values())
    meta = _joined(X._meta, *(each._meta for each in frames))
    return X.map_partitions(_joined, *frames, meta=meta, align_dataframes=False)


@dataclass(frozen=True, eq=False)
class CrossedBlock:
    """A fitted ColumnTransformer, of blocks that hold what some of its transformers have made.

    Attributes
    ----------
    model : ColumnTransformer
        Scikit-learn's.
    widths : dict of str to int
        How many columns each of those transformers has made, in the order of `beside`.
    none : array, CSR matrix or dataframe
        What is made of no rows.
    """

    model: Any
    widths: Mapping[str, int]
    none: Any

    @property
    def __name__(self) -> str:
        return "ColumnTransformer-fit_transform"

    def __call__(self, block: Any) -> Any:
        """Return the block transformed."""
        place = block.shape[1] - sum(self.widths.values())
        X, known = block.iloc[:, :place], {}
        for name, width in self.widths.items():
            known[name] = _Known(block.iloc[:, place : place + width].to_numpy())
            place += width
        model = copy.copy(self.model)
        model.transformers_ = [
            (name, known.get(name, each), of) for name, each, of in model.transformers_
        ]
        return BlockFunction(model, "transform", self.none)(X)


@dataclass(frozen=True, eq=False)
class _Known:
    """Stands for a transformer whose result is known."""

    made: Any

    def transform(self, X: Any) -> Any:
        return self.made


def _joined(block: Any, *others: Any) -> Any:
    """Return frames of the same rows as one, with labels of which no two are the same."""
    wide = pd.concat([block, *(each.set_axis(block.index) for each in others)], axis=1)
    longest = max((len(str(label)) for label in block.columns), default=0)
    more = (f"{'_' * longest}_{place}" for place in range(wide.shape[1] - block.shape[1]))
    return wide.set_axis([*block.columns, *more], axis=1)
