"""The error of a network whose training diverged."""

from collections.abc import Sequence
from typing import Any

from daskml_exec.kernels.arrays import Array


class DivergenceError(ValueError):
    """Local training gave a loss or parameters that are not finite.

    Parameters
    ----------
    round : int
        Counted from zero.
    partition : int or None
        Its index; None if the average alone is not finite.
    learning_rate : float
        That of the local steps.
    remedy : str
        What may help, as far as was looked for.
    coefs : sequence of ndarray
        The last good weights: those that the round started from. Empty with blocks on the
        workers, which have gone with the fit.
    intercepts : sequence of ndarray
        Their intercepts.

    Attributes
    ----------
    round, partition, learning_rate, remedy, coefs, intercepts
        As given; the last two are lists.
    """

    def __init__(
        self,
        round: int,
        partition: int | None,
        learning_rate: float,
        remedy: str,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
    ) -> None:
        self.round = round
        self.partition = partition
        self.learning_rate = learning_rate
        self.remedy = remedy
        self.coefs = list(coefs)
        self.intercepts = list(intercepts)
        where = f"partition {partition}"
        if partition is None:
            where = "the average" if coefs else "the blocks"
        super().__init__(
            f"training diverged in round {round}, {where}, at the learning rate "
            f"{learning_rate:g}: the loss, the score or the parameters are not finite. {remedy}"
            + ("; the error's `coefs` and `intercepts` are the last good parameters" * bool(coefs))
        )

    def __reduce__(self) -> Any:
        return type(self), (
            self.round,
            self.partition,
            self.learning_rate,
            self.remedy,
            self.coefs,
            self.intercepts,
        )
