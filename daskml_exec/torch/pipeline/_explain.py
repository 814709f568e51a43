"""What was planned for the fit of a module in stages, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from daskml_exec.executor import Facts, Part, Readable, Table, bytes_text
from daskml_exec.torch.planning._choice import Choice
from daskml_exec.training import History
from daskml_exec.training.averaging import measured, rows_in_words


@dataclass(frozen=True, repr=False)
class PipelineExplanation(Readable):
    """How a module was cut, what a step takes, and what the segments took.

    Attributes
    ----------
    module, optimiser : str
        Their names.
    n_parameters : int
        Trainable ones.
    dtype : str
        Of them.
    rows : tuple of int
        Samples of each partition that are trained on.
    batch, steps_per_epoch, micro_batches : int
    order : {"1f1b", "gpipe"}
    recompute : bool
    stages : tuple of str
        What each has of the module.
    nbytes : tuple of int
        Of the weights of each.
    milliseconds : tuple of float
        That each took of a few samples, forwards and backwards.
    history : daskml_exec.training.History
    n_replicas : int
        Of all stages.
    sync_steps : int or None
        Steps between two averages of the replicas; None for one replica.
    held_out : int
        Samples that are not trained on, and scored after each epoch.
    n_blocks : int
        Of the output layer: as many of the stages, the last ones, are these.
    choice : Choice or None
        What ``parallel="auto"`` has compared.
    epochs : float
        That the history is of, where something was compared.
    """

    module: str
    optimiser: str
    n_parameters: int
    dtype: str
    rows: tuple[int, ...]
    batch: int
    steps_per_epoch: int
    micro_batches: int
    order: str
    recompute: bool
    stages: tuple[str, ...]
    nbytes: tuple[int, ...]
    milliseconds: tuple[float, ...]
    history: History
    n_replicas: int = 1
    sync_steps: int | None = None
    held_out: int = 0
    n_blocks: int = 0
    choice: Choice | None = None
    epochs: float = 0.0

    def _parts(self) -> Iterator[Part]:
        recomputed = ", going forwards twice" if self.recompute else ""
        where, averages = "of one partition", []
        if self.n_replicas > 1:
            where = "of one partition, in each replica"
            averages = [
                (
                    "hybrid",
                    f"{self.n_replicas} replicas of the pipeline, averaged every "
                    f"{self.sync_steps:,} steps and at the end of an epoch",
                )
            ]
        scored = f"; {self.held_out:,} more held out, and scored" if self.held_out else ""
        n_stages = len(self.stages) - self.n_blocks
        if self.n_blocks:
            blocks = f"{self.n_blocks} blocks of rows, which keep their logits"
            averages = [("output", blocks), *averages]
        yield Facts(
            [
                (
                    "module",
                    f"{self.module}, {self.n_parameters:,} parameters of {self.dtype}, "
                    f"{self.optimiser}",
                ),
                ("data", f"{rows_in_words(self.rows, 'samples')}{scored}"),
                (
                    "steps",
                    f"{self.batch:,} samples each at most, {where}; "
                    f"{self.steps_per_epoch:,} steps an epoch",
                ),
                (
                    "pipeline",
                    f"{n_stages} stage{'s' * (n_stages != 1)}, {self.micro_batches} micro-batches, "
                    f"{self.order}{recomputed}",
                ),
                *averages,
            ]
        )
        header = ("stage", "of the module", "weights", "milliseconds")
        rows = [
            (
                f"{i}" if i < n_stages else f"output {i - n_stages}",
                what,
                bytes_text(nbytes),
                f"{time:.2f}",
            )
            for i, (what, nbytes, time) in enumerate(
                zip(self.stages, self.nbytes, self.milliseconds, strict=True)
            )
        ]
        yield Table(header, rows, words=("of the module",))
        yield measured(self.history, "segments")
        if self.choice is not None:
            yield from self.choice.beside(self.history, self.epochs)
