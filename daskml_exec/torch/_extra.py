"""PyTorch, or an error that says how to get it."""

import importlib
from types import ModuleType

INSTALL = "pip install 'daskml-exec[torch]'"


def require_torch(what: str) -> ModuleType:
    """Import PyTorch and return it.

    Parameters
    ----------
    what : str
        What needs it, for the message: the plural of a thing, or names.

    Raises
    ------
    ImportError
        PyTorch is not installed. One that is installed and cannot be loaded raises its own error.
    """
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"{what} need PyTorch: {INSTALL}", name="torch") from error
