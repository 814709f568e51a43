"""What stages, with replicas or without, do not go with, and what goes with them alone."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

DEFAULTS = {
    "stages": None,
    "n_replicas": "auto",
    "micro_batches": 4,
    "pipeline_order": "1f1b",
    "recompute": False,
    "output_blocks": None,
}
"""Arguments that are of pipelines alone."""

# Not written yet for stages, or without a meaning for them.
_OF_STAGES: dict[str, tuple[tuple[Any, ...], str]] = {
    "rows_least": ((None,), "a step's samples are of one partition, batch_size of them"),
    "accumulate": ((1,), "micro_batches= says into how many parts a batch is cut"),
    "compile": ((False,), "stages are not compiled yet"),
}
_NOTHING_AVERAGED = "stages have one copy each, and nothing is averaged"
# Each with the values that it may have, the default first, and why no others.
_WITH: dict[str, dict[str, tuple[tuple[Any, ...], str]]] = {
    "pipeline": {
        "sync_every": (("auto",), _NOTHING_AVERAGED),
        "outer": (("auto",), _NOTHING_AVERAGED),
        "n_replicas": (("auto",), f"{_NOTHING_AVERAGED}; parallel='hybrid' has replicas"),
        "optimizer_state": (("average",), "the optimiser's moments stay with their stage"),
        "compression": ((None,), "activations travel as they are"),
        **_OF_STAGES,
    },
    "hybrid": {
        "outer": (("auto", "average"), "replicas become their average"),
        "compression": (
            (None,),
            "stages are averaged where they are, and no change of them is sent to be applied",
        ),
        **_OF_STAGES,
        "rows_least": ((None,), "a replica's samples in a step are of one partition"),
    },
}


def require_arguments_that_count(arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that would have no effect.

    Parameters
    ----------
    arguments : mapping of str to object
        The estimator's, by name.
    """
    parallel = arguments["parallel"]
    if parallel == "auto":
        _require_stages_of_auto(arguments["stages"], arguments["output_blocks"])
        return
    if parallel == "data":
        for name, default in DEFAULTS.items():
            value = arguments[name]
            if callable(value) or not isinstance(value, type(default)) or value != default:
                others = "'hybrid'" if name == "n_replicas" else "'pipeline'"
                raise ValueError(
                    f"{name}={value!r} with parallel='data', which has no stages; allowed are "
                    f"{name}={default!r}, and parallel={others}"
                )
        return
    why = unsupported(arguments, parallel)
    if why:
        raise ValueError(why)


def _require_stages_of_auto(stages: Any, output_blocks: int | None) -> None:
    """Raise ValueError for stages that no module has; all else is looked at for each way."""
    if output_blocks is not None:
        raise ValueError(
            f"output_blocks={output_blocks} with parallel='auto', which does not compare blocks "
            "yet; allowed are output_blocks=None, parallel='pipeline' and 'hybrid'"
        )
    if isinstance(stages, Integral) and stages < 2:
        raise ValueError(
            f"stages={stages} with parallel='auto'; allowed are None, a number from 2, names of "
            "children that begin a stage, and a function of the module that returns the stages"
        )


def unsupported(arguments: Mapping[str, Any], parallel: str) -> str:
    """Return why stages cannot be trained with these arguments; an empty text if they can.

    Parameters
    ----------
    arguments : mapping of str to object
        The estimator's, by name.
    parallel : {"pipeline", "hybrid"}
    """
    for name, (allowed, why) in _WITH[parallel].items():
        if arguments[name] not in allowed:
            values = " and ".join(f"{name}={each!r}" for each in allowed)
            return (
                f"{name}={arguments[name]!r} with {parallel=}: {why}; allowed "
                f"{'is' if len(allowed) == 1 else 'are'} {values}"
            )
    if arguments["validation_fraction"] and arguments["output_blocks"] is not None:
        return (
            f"validation_fraction={arguments['validation_fraction']} with output_blocks="
            f"{arguments['output_blocks']}: scores want logits in one place, where blocks have "
            "none; allowed with output_blocks is validation_fraction=0.0"
        )
    if arguments["amp"] is not None and arguments["output_blocks"] is not None:
        return (
            f"amp={arguments['amp']!r} with output_blocks={arguments['output_blocks']}: blocks of "
            "the output layer compute in the dtype of their weights; allowed with output_blocks is "
            "amp=None"
        )
    if arguments["amp"] == "float16":
        return (
            f"amp='float16' with {parallel=}: stages have no common scale of losses yet; "
            "allowed are amp='bfloat16' and None"
        )
    return ""
