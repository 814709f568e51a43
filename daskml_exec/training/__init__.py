"""The fit loop: rounds, their history, callbacks; states and models in files."""

from daskml_exec.executor import Carrying, Query
from daskml_exec.partitions import Cells, Data, Labels, Partition, exchange, load
from daskml_exec.training._algorithm import Algorithm, Measured
from daskml_exec.training._atomic import all_or_nothing
from daskml_exec.training._cells import CellExchange
from daskml_exec.training._check_algorithm import check_algorithm
from daskml_exec.training._check_answers import AlgorithmError
from daskml_exec.training._estimator import PartitionedEstimator
from daskml_exec.training._events import BeginEvent, Callback, EndEvent, Reached, RoundEvent
from daskml_exec.training._features import check_features, labels_of_columns, learn_features
from daskml_exec.training._fit_warnings import FitWarning, warn_of
from daskml_exec.training._history import History, RoundRecord
from daskml_exec.training._in_epochs import TrainsInEpochs
from daskml_exec.training._lines import RoundLines, losses_in_words
from daskml_exec.training._listening import ListeningEstimator
from daskml_exec.training._many import Failed, many
from daskml_exec.training._payload import payload_nbytes
from daskml_exec.training._publish import publish
from daskml_exec.training._ready import compile_ahead
from daskml_exec.training._reduce import reduce
from daskml_exec.training._saved_models import let_save, open_model, save
from daskml_exec.training._state_trees import (
    Adapter,
    check_state,
    state_from_arrays,
    state_to_arrays,
)
from daskml_exec.training._telling import telling
from daskml_exec.training._train import Fitted, train
from daskml_exec.training._whole_files import check_writable
from daskml_exec.training.groups._segment import Segment, Units
from daskml_exec.training.groups._segment_runner import owners_of

__all__ = [
    "Adapter",
    "Algorithm",
    "AlgorithmError",
    "BeginEvent",
    "Callback",
    "Carrying",
    "CellExchange",
    "Cells",
    "Data",
    "EndEvent",
    "Failed",
    "FitWarning",
    "Fitted",
    "History",
    "Labels",
    "ListeningEstimator",
    "Measured",
    "Partition",
    "PartitionedEstimator",
    "Query",
    "Reached",
    "RoundEvent",
    "RoundLines",
    "RoundRecord",
    "Segment",
    "TrainsInEpochs",
    "Units",
    "all_or_nothing",
    "check_algorithm",
    "check_features",
    "check_state",
    "check_writable",
    "compile_ahead",
    "exchange",
    "labels_of_columns",
    "learn_features",
    "let_save",
    "load",
    "losses_in_words",
    "many",
    "open_model",
    "owners_of",
    "payload_nbytes",
    "publish",
    "reduce",
    "save",
    "state_from_arrays",
    "state_to_arrays",
    "telling",
    "train",
    "warn_of",
]

publish(__name__, __all__)
