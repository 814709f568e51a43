"""What stands in an opened estimator for functions and classes, which files do not hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class LeftOut:
    """In the place of a parameter that was left out of a file, and has not been given since.

    Attributes
    ----------
    name : str
        The parameter's.
    """

    name: str

    def __repr__(self) -> str:
        return "<not in the file>"


def require_given(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError if training would go on without a function that it had.

    Parameters
    ----------
    parameters : mapping of str to object
        By name.
    """
    for name, value in parameters.items():
        if isinstance(value, LeftOut):
            raise ValueError(
                f"{name} was a function or a class, and files do not hold those; allowed is it, "
                f"given by set_params({name}=...) or open_model(url, {name}=...)"
            )
