"""Say where classes are to be found: under the names that users import them by."""

import sys
from collections.abc import Iterable


def publish(module: str, names: Iterable[str]) -> None:
    """Let the classes of these names be of the public module that exports them.

    Pickles, and files of models that name what they hold, then have names that stay when a file of
    the package is moved, and that whoever is to trust them can look up.

    Examples
    --------
    >>> from daskml_exec.training import History
    >>> History.__module__
    'daskml_exec.training'
    """
    for name in names:
        found = getattr(sys.modules[module], name)
        if isinstance(found, type):
            found.__module__ = module
