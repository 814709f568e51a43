"""Who answers: it is the data that says so, and for segments their query."""

from typing import Any

from daskml_exec.partitions import Data, Grid, Pieces
from daskml_exec.training._algorithm import PeersAlgorithm
from daskml_exec.training._answering import Answerer
from daskml_exec.training._cells import CellsAnswerer
from daskml_exec.training._memory import MemoryAnswerer
from daskml_exec.training._refusals import refuse_data
from daskml_exec.training._rows import RowsAnswerer
from daskml_exec.training.groups._peers import PeersAnswerer
from daskml_exec.training.groups._segment import Segment


def answerer_for(data: Any, name: str) -> RowsAnswerer | CellsAnswerer | MemoryAnswerer:
    """Return what answers queries, but segments, on this data."""
    data = on_cluster(data)
    refuse_data(data)
    if isinstance(data, Pieces):
        return MemoryAnswerer(data.partitions)
    return CellsAnswerer(data, name) if isinstance(data, Grid) else RowsAnswerer(data, name)


def answerer_of(data: Any, algorithm: Any, first: Any, name: str) -> Answerer:
    """Return what answers the queries of this algorithm on this data, of which one is the first."""
    data = on_cluster(data)
    if isinstance(first, Segment):
        refuse_data(data)
        asks_peers: PeersAlgorithm[Any] = algorithm
        return PeersAnswerer(data, first.units, asks_peers.given(), name)
    return answerer_for(data, name)


def on_cluster(data: Any) -> Any:
    """Return the partitions or the grid of a `Data`; those of a fit are so already."""
    return data.partitions if isinstance(data, Data) else data
