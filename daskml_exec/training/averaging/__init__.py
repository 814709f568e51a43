"""Local steps, averaged: how rows make steps, what an average becomes, when to stop."""

from daskml_exec.training.averaging._averaged_steps import AveragedSteps, Scoring, Train
from daskml_exec.training.averaging._batching import LEAST_BATCH, Batching, batching, steps_of_fit
from daskml_exec.training.averaging._compressed_steps import (
    Carry,
    Chain,
    CompressedSteps,
    CompressedTrain,
    chain_of,
)
from daskml_exec.training.averaging._fit_warnings import enlarged_batch, large_batch, sorted_rows
from daskml_exec.training.averaging._local_trainer import LocalTrainer, Score
from daskml_exec.training.averaging._model import (
    NO_BUFFERS,
    Buffers,
    Changes,
    Failure,
    Link,
    Losses,
    Model,
    Work,
    data_error,
)
from daskml_exec.training.averaging._outer import Outer, outer_rule
from daskml_exec.training.averaging._progress import Progress, Stopping
from daskml_exec.training.averaging._state import AveragingState
from daskml_exec.training.averaging._target_spread import (
    SEEN,
    TargetSpread,
    of_classes,
    of_numbers,
)
from daskml_exec.training.averaging._words import (
    averages_in_words,
    measured,
    rows_in_words,
    steps_in_words,
)

__all__ = [
    "LEAST_BATCH",
    "NO_BUFFERS",
    "SEEN",
    "AveragedSteps",
    "AveragingState",
    "Batching",
    "Buffers",
    "Carry",
    "Chain",
    "Changes",
    "CompressedSteps",
    "CompressedTrain",
    "Failure",
    "Link",
    "LocalTrainer",
    "Losses",
    "Model",
    "Outer",
    "Progress",
    "Score",
    "Scoring",
    "Stopping",
    "TargetSpread",
    "Train",
    "Work",
    "averages_in_words",
    "batching",
    "chain_of",
    "data_error",
    "enlarged_batch",
    "large_batch",
    "measured",
    "of_classes",
    "of_numbers",
    "outer_rule",
    "rows_in_words",
    "sorted_rows",
    "steps_in_words",
    "steps_of_fit",
]
