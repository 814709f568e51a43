"""What was planned for a network in blocks, beside what was measured."""

from dataclasses import dataclass

from daskml_exec.kernels.networks.network import Network
from daskml_exec.neural_network._block_plan import BlockPlan
from daskml_exec.training import History


@dataclass(frozen=True)
class BlockExplanation:
    """How a network was cut, and what its segments took."""

    network: Network
    plan: BlockPlan
    history: History

    def __str__(self) -> str:
        return "\n".join([str(self.plan), repr(self.history)])

    __repr__ = __str__
