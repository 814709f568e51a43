"""What the networks' arguments may be, for type checkers and for scikit-learn's validation."""

from numbers import Integral, Real
from typing import Any, Literal

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
