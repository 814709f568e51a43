"""What takes part in a comparison: a name, the settings to try, and a fit that is timed."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

Setting = Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """What a fit took and what it found."""

    seconds: float
    coef: Any
    intercept: Any


@dataclass(frozen=True)
class Side:
    """One of those compared."""

    who: str
    ladder: tuple[Setting, ...]
    """Settings from the loosest to the tightest: steps, and half steps between them."""
    fit: Callable[[Setting], Fitted]


def tolerances(loosest: int, tightest: int) -> tuple[Setting, ...]:
    """Return the ladder ``tol=1e-loosest`` to ``tol=1e-tightest`` by half decades."""
    steps = range(loosest, tightest)
    down = [float(f"{digit}e-{power}") for power in steps for digit in (1, 0.3)]
    return tuple({"tol": tol} for tol in (*down, float(f"1e-{tightest}")))


def timed_fit(model: Any, X: Any, y: Any) -> Fitted:
    """Fit, quietly: what a setting did not reach is seen in the suboptimality."""
    with warnings.catch_warnings():
        for category in (ConvergenceWarning, LinAlgWarning):
            warnings.simplefilter("ignore", category)
        started = time.perf_counter()
        model.fit(X, y)
        return Fitted(time.perf_counter() - started, model.coef_, model.intercept_)


def named(setting: Setting) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in setting.items())
