"""What was planned for the fit of a module, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskml_exec.executor import Facts, Part, Readable, Table, bytes_text, tuning
from daskml_exec.torch._layout import Layout, Slots
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch.planning._choice import Choice
from daskml_exec.training import History
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training.averaging import (
    Batching,
    averages_in_words,
    measured,
    rows_in_words,
    steps_in_words,
)
from daskml_exec.training.compression import codec_named

_Row = tuple[str, str, str, str, str]


@dataclass(frozen=True, repr=False)
class Explanation(Readable):
    """How samples were shared, what of a module travelled how often, and what the rounds took.

    Attributes
    ----------
    module, optimiser : str
        Their names.
    layout : Layout
        Names, shapes and roles of tensors.
    n_constant : int
        Numbers of frozen parameters.
    batching : Batching
        Samples, samples per step and steps of each partition.
    rows_least : int
        Samples that a partition takes per step at least.
    optimizer_state : {"average", "local", "reset"}
    compression : str or None
    device : str
    history : daskml_exec.training.History
    choice : Choice or None
        What ``parallel="auto"`` has compared.
    epochs : float
        That the history is of, where something was compared.
    """

    module: str
    optimiser: str
    layout: Layout
    n_constant: int
    batching: Batching
    rows_least: int
    optimizer_state: str
    compression: str | None
    device: str
    history: History
    choice: Choice | None = None
    epochs: float = 0.0

    @classmethod
    def of(
        cls,
        parts: Parts,
        batching: Batching,
        rows_least: int,
        optimizer_state: str,
        compression: str | None,
        history: History,
    ) -> "Explanation":
        """Return what there is to say of a fit of these parts."""
        module = parts.module
        frozen = [each.numel() for each in module.parameters() if not each.requires_grad]
        return cls(
            type(module).__name__,
            parts.optimiser.name,
            parts.layout,
            sum(frozen),
            batching,
            rows_least,
            optimizer_state,
            compression,
            parts.device,
            history,
        )

    def _parts(self) -> Iterator[Part]:
        plan, n = self.batching, self.layout.parameters.size
        frozen = f", {self.n_constant:,} frozen ones" if self.n_constant else ""
        device = "a GPU where a Worker has one" if self.device == "auto" else self.device
        yield Facts(
            [
                (
                    "module",
                    f"{self.module}, {n:,} parameters of {self.layout.dtype}{frozen}, "
                    f"{self.optimiser}, on {device}",
                ),
                ("data", rows_in_words(plan.rows, "samples")),
                ("steps", steps_in_words(plan, "samples", self.rows_least)),
                ("averages", averages_in_words(plan, self.compression)),
            ]
        )
        rows = list(self._roles())
        header = ("role", "tensors", "numbers", "each way", "between rounds")
        yield Table(header, rows, words=("role", "between rounds"))
        yield measured(self.history)
        if self.choice is not None:
            yield from self.choice.beside(self.history, self.epochs)

    def _roles(self) -> Iterator[_Row]:
        """Yield what becomes of each role, and its bytes there and back of a partition's round."""
        layout = self.layout
        size = np.dtype(layout.dtype).itemsize
        codec = codec_named(self.compression)
        change = size * layout.parameters.size
        if codec is not None:
            change = payload_nbytes(codec.encode(np.zeros(layout.parameters.size, layout.dtype)))
        then = "averaged" if codec is None else f"averaged, in {codec.name}"
        yield self._role("parameters", layout.parameters, change, then)
        if layout.statistics.size:
            nbytes = 8 * layout.statistics.size
            yield self._role("statistics", layout.statistics, nbytes, "averaged in float64")
        if layout.moments.size:
            yield self._role("moments", layout.moments, *self._moments(size))
        counted = Slots(
            (*layout.counters.names, *layout.scalars.names),
            (*layout.counters.shapes, *layout.scalars.shapes),
        )
        if counted.size:
            yield self._role("counters", counted, 8 * counted.size, "the largest")

    def _moments(self, size: int) -> tuple[int, str]:
        if self.optimizer_state == "reset":
            return 0, "forgotten"
        if self.optimizer_state == "average" and self.compression is None:
            return size * self.layout.moments.size, "averaged"
        return 0, f"kept on Workers, averaged every {tuning().exact_every} rounds"

    def _role(self, role: str, slots: Slots, nbytes: int, then: str) -> _Row:
        if len(self.batching.rows) == 1:  # nothing is averaged
            nbytes, then = 0, "goes on" if then != "forgotten" else then
        return (
            role,
            f"{len(slots.names):,}",
            f"{slots.size:,}",
            bytes_text(nbytes) if nbytes else "-",
            then,
        )
