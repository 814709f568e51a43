"""How interactions are read: by which columns, and what becomes of pairs that come again."""

from dataclasses import dataclass
from typing import Any

from daskml_exec.kernels.factors.pairs import Duplicates
from daskml_exec.recommendation._triples import Columns


@dataclass(frozen=True)
class Encoding:
    """How a model reads interactions.

    Attributes
    ----------
    columns : Columns
    duplicates : {"sum", "mean", "last"}
    repeats : bool
        Whether a pair may come several times at all.
    zeros : bool
        Whether ratings of zero are kept.
    dtype : numpy.dtype
    """

    columns: Columns
    duplicates: Duplicates
    repeats: bool
    zeros: bool
    dtype: Any
