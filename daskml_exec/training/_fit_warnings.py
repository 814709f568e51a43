"""Warnings as values: a fit returns what it has to say, and the estimator's method says it."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FitWarning:
    """What is to be said of a fit that has come to its end.

    Attributes
    ----------
    about : str
        In a word, so that a stream of `partial_fit` does not say the same with each piece.
    message : str
    category : type of Warning
    """

    about: str
    message: str
    category: type[Warning] = UserWarning


def warn_of(found: Iterable[FitWarning]) -> None:
    """Warn where the public method was called that calls this.

    Parameters
    ----------
    found : iterable of FitWarning

    Examples
    --------
    >>> import warnings
    >>> def fit():
    ...     warn_of([FitWarning("columns", "two columns are the same")])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     fit()
    >>> print(caught[0].message)
    two columns are the same
    """
    for each in found:
        warnings.warn(each.message, each.category, stacklevel=3)
