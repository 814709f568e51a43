"""What the estimators' arguments may be."""

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

CONSTRAINTS: dict[str, list[Any]] = {
    "optimizer": [str, callable],
    "lr": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "max_steps": [Interval(Integral, 1, None, closed="left"), None],
    "sync_every": [StrOptions({"auto", "epoch"}), Interval(Integral, 1, None, closed="left")],
    "outer": [StrOptions({"auto", "average", "nesterov"})],
    "parallel": [StrOptions({"data", "pipeline", "hybrid"})],
    "stages": [Integral, "array-like", callable, None],
    "n_replicas": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
    "micro_batches": [Interval(Integral, 1, None, closed="left")],
    "pipeline_order": [StrOptions({"1f1b", "gpipe"})],
    "recompute": ["boolean"],
    "optimizer_state": [StrOptions({"average", "local", "reset"})],
    "compression": [str, None],
    "device": [str],
    "amp": [StrOptions({"bfloat16", "float16"}), None],
    "compile": ["boolean"],
    "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
    "accumulate": [Interval(Integral, 1, None, closed="left")],
    "scheduler": [callable, None],
    "trainable": [str, "array-like", callable, None],
    "param_groups": [callable, None],
    "augment": [callable, None],
    "rows_least": [Interval(Integral, 1, None, closed="left"), None],
    "shuffle": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="left")],
    "scores": [callable, None],
    "tol": [Interval(Real, 0, None, closed="left"), None],
    "n_iter_no_change": [
        Interval(Integral, 1, None, closed="left"),
        Options(Real, {np.inf}),
    ],
    "random_state": ["random_state"],
    "warm_start": ["boolean"],
    "callbacks": ["array-like", None],
    "verbose": ["verbose"],
}


# Those that all estimators of modules have, but for `module`, `scores` and what they compare by.
COMMON = (
    *("optimizer", "lr", "batch_size", "max_epochs", "max_steps", "sync_every", "outer"),
    *("optimizer_state", "compression", "device", "amp", "compile", "clip_norm", "accumulate"),
    *("scheduler", "trainable", "param_groups", "augment", "rows_least", "shuffle"),
    *("validation_fraction", "tol", "n_iter_no_change", "random_state", "warm_start"),
    *("callbacks", "verbose", "parallel", "stages", "n_replicas", "micro_batches"),
    *("pipeline_order", "recompute"),
)


def require_prefixes(options: Iterable[str], prefixes: Sequence[str], who: str) -> None:
    """Raise TypeError for an argument that is not like ``module__width``, with these prefixes."""
    for name in options:
        if not any(name.startswith(prefix + "__") for prefix in prefixes):
            allowed = ", ".join(f"{prefix}__..." for prefix in prefixes)
            raise TypeError(
                f"{who}() got an unexpected keyword argument {name!r}; allowed are its parameters, "
                f"and {allowed}"
            )


def options_of(parameters: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the arguments with this prefix, without it."""
    start = prefix + "__"
    return {
        name.removeprefix(start): value
        for name, value in parameters.items()
        if name.startswith(start)
    }
