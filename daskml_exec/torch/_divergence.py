"""The error of a loss or of parameters that are not finite."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daskml_exec.training.averaging import Model

UNTRAINED = (
    "No step has been taken yet, and the samples are finite, so that lr has no part in it: look at "
    "the loss, for a log or a division of 0, at the scale of X, and at the module's first weights"
)
"""What to do about a loss that is not finite before any step."""


@dataclass(frozen=True)
class BeforeAnyStep:
    """Why a partition failed: its loss is not finite with weights that no step has changed.

    Attributes
    ----------
    where : str
        As of `DivergenceError`.
    """

    where: str


class Diverged(Exception):
    """Training diverged, as its algorithm says it, which knows no names of parameters.

    Parameters
    ----------
    where, remedy : str
        As of `DivergenceError`.
    model : Model
        The last good one.
    """

    def __init__(self, where: str, remedy: str, model: Model) -> None:
        super().__init__(where, remedy, model)
        self.where, self.remedy, self.model = where, remedy, model


class DivergenceError(ValueError):
    """Local training gave a loss or parameters that are not finite.

    Parameters
    ----------
    where : str
        In which step, partition and samples.
    remedy : str
        What may help, as far as was looked for.
    state_dict : mapping of str to tensor
        The last good weights: those that the round started from, or a pipeline's fit.

    Attributes
    ----------
    where, remedy, state_dict
        As given.
    """

    def __init__(self, where: str, remedy: str, state_dict: Mapping[str, Any]) -> None:
        self.where, self.remedy, self.state_dict = where, remedy, state_dict
        super().__init__(where, remedy)

    def __str__(self) -> str:
        return f"training diverged: {self.where}. {self.remedy}"

    def __reduce__(self) -> Any:
        return type(self), (self.where, self.remedy, self.state_dict)
