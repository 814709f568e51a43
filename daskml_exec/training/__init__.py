"""The fit loop: rounds, their history, callbacks."""

from daskml_exec.training._atomic import all_or_nothing
from daskml_exec.training._estimator import PartitionedEstimator
from daskml_exec.training._events import Callback, Reached, RoundEvent
from daskml_exec.training._history import History, RoundRecord
from daskml_exec.training._lines import RoundLines, losses_in_words
from daskml_exec.training._loop import FitResult, run_rounds, tell
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._publish import publish
from daskml_exec.training._ready import compile_ahead
from daskml_exec.training._round import CarryingRound, Measured, Round, Stepping
from daskml_exec.training._segment import Segmented
from daskml_exec.training._segment_loop import SegmentsResult, run_segments
from daskml_exec.training._segment_runner import owners_of

__all__ = [
    "Callback",
    "CarryingRound",
    "FitResult",
    "History",
    "Measured",
    "PartitionedEstimator",
    "Reached",
    "Round",
    "RoundEvent",
    "RoundLines",
    "RoundRecord",
    "Segmented",
    "SegmentsResult",
    "Stepping",
    "all_or_nothing",
    "compile_ahead",
    "losses_in_words",
    "owners_of",
    "payload_nbytes",
    "publish",
    "run_rounds",
    "run_segments",
    "tell",
]

publish(__name__, __all__)
