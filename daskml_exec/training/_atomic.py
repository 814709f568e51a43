"""A fit that does not come to its end leaves the estimator as it was."""

from types import TracebackType
from typing import Any


class all_or_nothing:
    """Give an estimator back all its attributes when the block raises, whatever it raises.

    Ctrl-C and warnings that somebody has made errors are among that. The attributes must be
    replaced in the block, not changed in place.

    Parameters
    ----------
    estimator : object
    """

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self._before = dict(vars(estimator))

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            # In one step, which no further interrupt can halve.
            self._estimator.__dict__ = self._before
