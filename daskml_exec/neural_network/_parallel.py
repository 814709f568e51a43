"""How a network's training is shared among workers, and which arguments go with it."""

from typing import Any

from daskml_exec.kernels.networks.layout import Layout

_UNITS_PER_BLOCK = 1024
_BYTES_PER_BLOCK = 2**28
N_REPLICAS = 2
"""Of hybrid parallelism by default."""


def default_n_blocks(layout: Layout, state_bytes: int) -> int:
    """Return into how many blocks a network is cut if nobody says: a matter of its shape alone.

    A power of two: blocks of about a thousand units, which keep a processor busy, or of as many
    bytes as a worker of modest size has room for. At least two, and no more than there are units.

    Parameters
    ----------
    layout : Layout
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


def require_parallel_arguments(arguments: dict[str, Any]) -> None:
    """Refuse arguments that do not go together.

    Parameters
    ----------
    arguments : dict
        Of the estimator.

    Raises
    ------
    ValueError
        One is given that `parallel` leaves without effect or does not support.
    """
    parallel = arguments["parallel"]
    if parallel == "data":
        for name in ("n_blocks", "n_replicas"):
            if arguments[name] != "auto":
                raise ValueError(
                    f"{name}={arguments[name]!r} with parallel='data', which has no blocks; "
                    f"allowed are {name}='auto' here, and parallel='model', 'hybrid' or 'auto'"
                )
        return
    if parallel == "model":
        _require(arguments, "n_replicas", ("auto",), "there is one replica")
        _require(arguments, "sync_every", ("auto",), "there are no averages")
    if parallel in ("model", "hybrid"):
        _require(arguments, "compression", (None,), "the model does not travel")
        _require(arguments, "early_stopping", (False,), "the best weights are not kept")
        _require(arguments, "outer", ("auto", "average"), "replicas become their average")


def _require(arguments: dict[str, Any], name: str, allowed: tuple[Any, ...], because: str) -> None:
    if arguments[name] not in allowed:
        raise ValueError(
            f"{name}={arguments[name]!r} with parallel={arguments['parallel']!r}: {because}; "
            f"allowed is {' or '.join(map(repr, allowed))}"
        )
