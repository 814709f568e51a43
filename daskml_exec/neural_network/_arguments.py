"""What the networks' arguments may be, and which of them go together."""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

Auto = Literal["auto"]
Activation = Literal["identity", "logistic", "tanh", "relu"]
Solver = Literal["adam", "sgd"]
Schedule = Literal["constant", "invscaling", "adaptive"]
Parallel = Literal["data", "model", "hybrid", "auto"]
OuterRule = Literal["auto", "nesterov", "average"]
Codec = Literal["fp16"] | str | None
"""Or "topk:SHARE", for which there is no type."""

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
    "solver": [StrOptions({"adam", "sgd"})],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean", StrOptions({"partitions"})],
    "random_state": ["random_state"],
    "tol": [Interval(Real, 0, None, closed="left")],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "beta_1": [Interval(Real, 0, 1, closed="left")],
    "beta_2": [Interval(Real, 0, 1, closed="left")],
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "sync_every": [StrOptions({"auto", "epoch"}), Interval(Integral, 1, None, closed="left")],
    "compression": [str, None],
    "outer": [StrOptions({"auto", "average", "nesterov"})],
    "parallel": [StrOptions({"auto", "data", "model", "hybrid"})],
    "n_blocks": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "n_replicas": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
    "callbacks": ["array-like", None],
}


class _Rule(NamedTuple):
    """Which values of an argument a strategy supports, and why no others."""

    argument: str
    allowed: tuple[Any, ...]
    because: str


_OF_BLOCKS = (
    _Rule("compression", (None,), "the model does not travel"),
    _Rule("early_stopping", (False,), "the best weights are not kept"),
    _Rule("outer", ("auto", "average"), "replicas become their average"),
)
_SUPPORTED = {
    "data": (),
    "model": (_Rule("sync_every", ("auto",), "there are no averages"), *_OF_BLOCKS),
    "hybrid": _OF_BLOCKS,
}
# What says how many of something there are that a strategy does not have.
_COUNTS = {
    "data": (
        _Rule("n_blocks", ("auto",), "there are no blocks"),
        _Rule("n_replicas", ("auto",), "there are no replicas"),
    ),
    "model": (_Rule("n_replicas", ("auto",), "there is one replica"),),
    "hybrid": (),
}


def hidden_units(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Return the units of each hidden layer, of a number or a sequence of numbers."""
    several = isinstance(hidden_layer_sizes, Iterable)
    sizes: list[Any] = list(hidden_layer_sizes) if several else [hidden_layer_sizes]
    units = []
    for size in sizes:
        number = isinstance(size, Real) and not isinstance(size, bool)
        if not number or not size >= 1 or size % 1:
            raise ValueError(
                f"hidden_layer_sizes={hidden_layer_sizes!r}: hidden_layer_sizes must be > 0; "
                "allowed are whole numbers from 1, one per hidden layer"
            )
        units.append(int(size))
    return tuple(units)


def require_parallel_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that do not go together.

    With ``parallel="auto"`` there are none: what not all strategies support restricts the choice.

    Parameters
    ----------
    arguments : mapping
        Of the estimator.

    Raises
    ------
    ValueError
        One is given that `parallel` leaves without effect or does not support.
    """
    parallel = arguments["parallel"]
    if parallel == "auto":
        return
    for rule in (*_COUNTS[parallel], *_SUPPORTED[parallel]):
        if arguments[rule.argument] not in rule.allowed:
            raise ValueError(
                f"{rule.argument}={arguments[rule.argument]!r} with parallel={parallel!r}: "
                f"{rule.because}; allowed is {' or '.join(map(repr, rule.allowed))}"
            )


def unsupported(parallel: str, arguments: Mapping[str, Any]) -> str:
    """Say why a strategy does not support an estimator's arguments; an empty text if it does.

    Examples
    --------
    >>> arguments = {"sync_every": "auto", "compression": "fp16", "early_stopping": False}
    >>> unsupported("hybrid", arguments)
    "compression='fp16': the model does not travel"
    """
    for rule in _SUPPORTED[parallel]:
        if arguments[rule.argument] not in rule.allowed:
            return f"{rule.argument}={arguments[rule.argument]!r}: {rule.because}"
    return ""
