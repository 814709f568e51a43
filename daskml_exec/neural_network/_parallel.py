"""How a network's training is shared among workers, and which arguments go with it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from daskml_exec.kernels.networks.layout import Layout

_UNITS_PER_BLOCK = 1024
_BYTES_PER_BLOCK = 2**28
N_REPLICAS = 2
"""Of hybrid parallelism by default."""


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


def default_n_blocks(layout: Layout, state_bytes: int) -> int:
    """Return into how many blocks a network is cut if nobody says: a matter of its shape alone.

    A power of two: blocks of about a thousand units, which keep a processor busy, or of as many
    bytes as a worker of modest size has room for. At least two, and no more than there are units.

    Parameters
    ----------
    layout : Layout
        With at least one hidden layer.
    state_bytes : int
        Of all parameters with what the optimiser remembers.

    Examples
    --------
    >>> default_n_blocks(Layout((784, 4096, 4096, 10)), 2**28)
    4
    """
    hidden = layout.units[1:-1]
    wanted = max(2, -(-max(hidden) // _UNITS_PER_BLOCK), -(-state_bytes // _BYTES_PER_BLOCK))
    power = 1 << (int(wanted) - 1).bit_length()
    while power > min(hidden):
        power //= 2
    return max(1, power)


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
