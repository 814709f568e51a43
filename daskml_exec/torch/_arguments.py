"""What the estimators' arguments may be."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

N_ITER_NO_CHANGE = 10
"""Of the signatures, so that it says nothing where `tol` is None."""

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

# What other libraries call arguments.
_USUAL = {
    "early_stopping": "tol",
    "patience": "n_iter_no_change",
    "learning_rate": "lr",
    "learning_rate_init": "lr",
    "max_iter": "max_epochs",
    "epochs": "max_epochs",
}

CONSTRAINTS: dict[str, list[Any]] = {
    "optimizer": [str, callable],
    "lr": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "max_steps": [Interval(Integral, 1, None, closed="left"), None],
    "sync_every": [StrOptions({"auto", "epoch"}), Interval(Integral, 1, None, closed="left")],
    "outer": [StrOptions({"auto", "average", "nesterov"})],
    "parallel": [StrOptions({"auto", "data", "pipeline", "hybrid"})],
    "stages": [Integral, "array-like", callable, None],
    "n_replicas": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
    "micro_batches": [Interval(Integral, 1, None, closed="left")],
    "pipeline_order": [StrOptions({"1f1b", "gpipe"})],
    "recompute": ["boolean"],
    "output_blocks": [Interval(Integral, 2, None, closed="left"), None],
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
    *("pipeline_order", "recompute", "output_blocks"),
)


def require_prefixes(
    options: Iterable[str], prefixes: Sequence[str], parameters: Sequence[str], who: str
) -> None:
    """Raise TypeError for an argument that is not like ``module__width``, with these prefixes."""
    for name in options:
        if not any(name.startswith(prefix + "__") for prefix in prefixes):
            allowed = ", ".join(f"{prefix}__..." for prefix in prefixes)
            meant = [_USUAL[name]] if name in _USUAL else []
            meant += get_close_matches(name, parameters, n=1)
            meant += [each for each in parameters if name in each]
            raise TypeError(
                f"{who}() got an unexpected keyword argument {name!r}"
                f"{f', where {meant[0]!r} may be meant' if meant else ''}; allowed are its "
                f"parameters, and {allowed}"
            )


def require_options(
    function: Any, options: Mapping[str, Any], prefix: str, given: Sequence[str] = ()
) -> None:
    """Raise TypeError for an option that a class or function does not take.

    Parameters
    ----------
    function : callable
        That is handed the options.
    options : mapping of str to object
        As of `options_of`.
    prefix : str
    given : sequence of str
        Arguments that it gets in another way.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of builtins
        return
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return
    taken = [
        name for name, each in parameters.items() if each.kind in _BY_NAME and name not in given
    ]
    for name in options:
        if name not in taken:
            who = getattr(function, "__name__", type(function).__name__)
            allowed = ", ".join(f"{prefix}__{each}" for each in taken) or f"no {prefix}__..."
            raise TypeError(
                f"{prefix}__{name}={options[name]!r:.200}, which {who} cannot be given so; allowed "
                f"are {allowed}"
            )


def require_scheduler(scheduler: Any) -> None:
    """Raise TypeError for a scheduler of PyTorch's own, or its name."""
    if scheduler is None or (callable(scheduler) and not isinstance(scheduler, type)):
        return
    raise TypeError(
        f"scheduler={scheduler!r:.200}; allowed are None and what can be called as "
        "scheduler(step, total), and returns what lr is multiplied by in this step"
    )


def require_stopping_that_counts(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for a patience without anything that is waited for."""
    patience = arguments["n_iter_no_change"]
    if arguments["tol"] is None and patience not in (N_ITER_NO_CHANGE, np.inf):
        raise ValueError(
            f"n_iter_no_change={patience} with tol=None, which never ends training early; allowed "
            f"are tol=0.0 or more, and n_iter_no_change={N_ITER_NO_CHANGE}"
        )


def options_of(parameters: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the arguments with this prefix, without it."""
    start = prefix + "__"
    return {
        name.removeprefix(start): value
        for name, value in parameters.items()
        if name.startswith(start)
    }
