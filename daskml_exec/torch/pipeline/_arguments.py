"""What parallel="pipeline" does not go with, and what goes with it alone."""

from collections.abc import Mapping
from typing import Any

DEFAULTS = {"stages": None, "micro_batches": 4, "pipeline_order": "1f1b", "recompute": False}
"""Arguments that are of pipelines alone."""

# Of averaged local steps, or not written yet for stages: allowed is the default.
_WITHOUT: dict[str, tuple[Any, str]] = {
    "sync_every": ("auto", "stages have one copy each, and nothing is averaged"),
    "outer": ("auto", "stages have one copy each, and nothing is averaged"),
    "optimizer_state": ("average", "the optimiser's moments stay with their stage"),
    "compression": (None, "activations travel as they are"),
    "rows_least": (None, "a step's samples are of one partition, batch_size of them"),
    "accumulate": (1, "micro_batches= says into how many parts a batch is cut"),
    "validation_fraction": (0.0, "no samples can be held out of a pipeline yet"),
    "compile": (False, "stages are not compiled yet"),
}


def require_arguments_that_count(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that would have no effect.

    Parameters
    ----------
    arguments : mapping of str to object
        The estimator's, by name.
    """
    if arguments["parallel"] == "data":
        for name, default in DEFAULTS.items():
            value = arguments[name]
            if callable(value) or not isinstance(value, type(default)) or value != default:
                raise ValueError(
                    f"{name}={value!r} with parallel='data', which has no stages; allowed are "
                    f"{name}={default!r}, and parallel='pipeline'"
                )
        return
    for name, (default, why) in _WITHOUT.items():
        if arguments[name] != default:
            raise ValueError(
                f"{name}={arguments[name]!r} with parallel='pipeline': {why}; allowed is "
                f"{name}={default!r}"
            )
    if arguments["amp"] == "float16":
        raise ValueError(
            "amp='float16' with parallel='pipeline': stages have no common scale of losses yet; "
            "allowed are amp='bfloat16' and None"
        )
