"""Collections whose columns were centred and scaled, and what they were made of."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.moments import Moments

_MARK = "_daskml_exec_scaled"


@dataclass(frozen=True, eq=False)
class Scaled:
    """What a lazy collection of rows ``(x - centre) / scale`` was made of.

    A linear model that knows this is fitted on the source: centre and scale become part of its
    intercept and of its penalty, and no scaled row is ever made.

    Attributes
    ----------
    source : Dask array or dataframe
    centre, scale : ndarray of shape (d,)
    by : str
        What has scaled it, in words.
    moments : Moments or None
        Of the source's columns without weights, where they are known and nothing is missing.
    """

    source: Any
    centre: Array
    scale: Array
    by: str
    moments: Moments | None = None

    def of(self, made: Any) -> Any:
        """Let the collection that was made know of it, and return that.

        Anything that is computed from the collection later does not, as it is another one.
        """
        before = scaled_of(self.source)
        known = self if before is None else before._then(self)
        with suppress(AttributeError):  # then it is scaled as any other
            object.__setattr__(made, _MARK, known)
        return made

    def _then(self, later: Scaled) -> Scaled:
        """Return what both have made of the source of the first."""
        return Scaled(
            self.source,
            self.centre + self.scale * later.centre,
            self.scale * later.scale,
            f"{self.by} and {later.by}",
            self.moments,
        )


def scaled_of(collection: Any) -> Scaled | None:
    """Return what a collection was made of by scaling alone, if that is known."""
    found: Scaled | None = getattr(collection, "__dict__", {}).get(_MARK)
    return found
