"""Which part of what a user gave cannot travel."""

from typing import Any

import cloudpickle
from torch import nn


def not_picklable(value: Any) -> str | None:
    """Return why a value cannot be pickled; None if it can."""
    try:
        cloudpickle.dumps(value)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def attribute_of(module: nn.Module) -> str:
    """Return the path of the attribute that cannot be pickled, as ``.encoder.lock``."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name != "_modules" and not_picklable(value) is not None:
                return "".join(f".{each}" for each in (path, name) if each)
    return ""


def cannot_travel(name: str, why: str) -> TypeError:
    """Return the error of an argument, or an attribute of it, that cannot be pickled."""
    return TypeError(
        f"{name} cannot be sent to Workers, as it cannot be pickled: {why}; make what cannot "
        "travel where it is used, or leave it out by __getstate__"
    )
