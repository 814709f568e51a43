"""What each strategy would cost a network on this data and cluster, and which one to follow.

For ``parallel="auto"`` and for `explain`; no other fit comes here.
"""

from daskml_exec.neural_network._workload import Case, Workload, calibrated
from daskml_exec.neural_network.planning._calibration import Calibration, calibrate
from daskml_exec.neural_network.planning._costs import Estimate
from daskml_exec.neural_network.planning._strategies import Strategies, measured, strategies_of
from daskml_exec.training import publish

__all__ = [
    "Calibration",
    "Case",
    "Estimate",
    "Strategies",
    "Workload",
    "calibrate",
    "calibrated",
    "measured",
    "strategies_of",
]

publish(__name__, __all__)
