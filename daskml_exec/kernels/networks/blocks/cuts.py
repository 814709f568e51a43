"""How the weight matrices of a network are cut into blocks."""

from dataclasses import dataclass
from typing import Literal

from daskml_exec.kernels.arrays import Array
from daskml_exec.kernels.networks.layout import Layout

ExchangeKind = Literal["sum_to_owners", "gather", "sum_everywhere"]


@dataclass(frozen=True)
class BlockLayout:
    r"""Which slice of each layer belongs to which block.

    The units of each hidden layer are sliced over the blocks, in consecutive ranges whose lengths
    differ by one at most. A layer is cut *by columns* into the weights of the units it makes, or
    *by rows* into those of the units it reads. Cuts alternate, so that what a layer by columns
    makes is what the layer by rows behind it reads: 0 by columns, 1 by rows, and so on; the last
    layer is by rows whatever its number.

    A block's piece of a layer is one flat vector: its slice of the matrix in C order, then its
    slice of the intercepts. It holds the intercepts of its own units; those of the outputs, which
    are not sliced, belong to block 0.

    Attributes
    ----------
    units : tuple of int
        Units per layer, from the features to the outputs; at least one hidden layer.
    n_blocks : int
        From one up to the units of the narrowest hidden layer.

    Raises
    ------
    ValueError
        If there is no hidden layer, or one has fewer units than there are blocks.

    Examples
    --------
    >>> layout = BlockLayout((3, 4, 5, 2), n_blocks=2)
    >>> [layout.by_columns(layer) for layer in range(layout.n_layers)]
    [True, False, False]
    >>> [layout.coef_shape(layer, block=1) for layer in range(layout.n_layers)]
    [(3, 2), (2, 5), (3, 2)]
    """

    units: tuple[int, ...]
    n_blocks: int

    def __post_init__(self) -> None:
        if len(self.units) < 3:
            raise ValueError(
                f"units={self.units} has no hidden layer: a network is cut along its hidden units"
            )
        narrowest = min(self.units[1:-1])
        if not 1 <= self.n_blocks <= narrowest:
            raise ValueError(
                f"n_blocks={self.n_blocks} must be from 1 to {narrowest}, the units of the "
                "narrowest hidden layer"
            )

    @property
    def n_layers(self) -> int:
        """Number of weight matrices."""
        return len(self.units) - 1

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Per layer, the shape of its whole weight matrix."""
        return Layout(self.units).shapes

    def by_columns(self, layer: int) -> bool:
        """Whether a layer is cut along the units that it makes, rather than those it reads."""
        return layer % 2 == 0 and layer < self.n_layers - 1

    def slices(self, layer: int) -> list[slice]:
        """Return each block's slice of the hidden units that a layer makes."""
        n, k = self.units[layer + 1], self.n_blocks
        return [slice(block * n // k, (block + 1) * n // k) for block in range(k)]

    def coef_index(self, layer: int, block: int) -> tuple[slice, slice]:
        """Return which rows and columns of the layer's matrix a block holds."""
        fan_in, fan_out = self.shapes[layer]
        if self.by_columns(layer):
            return slice(0, fan_in), self.slices(layer)[block]
        return self.slices(layer - 1)[block], slice(0, fan_out)

    def intercept_index(self, layer: int, block: int) -> slice:
        """Return which of the layer's intercepts a block holds."""
        if layer == self.n_layers - 1:
            return slice(0, self.units[-1] if block == 0 else 0)
        return self.slices(layer)[block]

    def coef_shape(self, layer: int, block: int) -> tuple[int, int]:
        """Return the shape of a block's slice of a layer's matrix."""
        rows, columns = self.coef_index(layer, block)
        return _length(rows), _length(columns)

    def size(self, layer: int, block: int) -> int:
        """Return how many weights and intercepts of a layer a block holds."""
        n_rows, n_columns = self.coef_shape(layer, block)
        return n_rows * n_columns + _length(self.intercept_index(layer, block))

    def views(self, layer: int, block: int, flat: Array) -> tuple[Array, Array]:
        """Return the matrix and the intercepts that a piece's flat vector holds."""
        shape = self.coef_shape(layer, block)
        n_coefs = shape[0] * shape[1]
        return flat[:n_coefs].reshape(shape), flat[n_coefs:]

    @property
    def exchanges(self) -> list[tuple[ExchangeKind, int]]:
        """What one step exchanges, in order: how, and of how many units.

        Each is an array of shape (units, rows of the batch).
        """
        last = self.n_layers - 1
        forward: list[tuple[ExchangeKind, int]] = []
        backward: list[tuple[ExchangeKind, int]] = []
        for layer in range(1, last):
            if self.by_columns(layer):
                forward.append(("gather", self.units[layer]))
                backward.append(("sum_to_owners", self.units[layer]))
            else:
                forward.append(("sum_to_owners", self.units[layer + 1]))
                backward.append(("gather", self.units[layer + 1]))
        return [*forward, ("sum_everywhere", self.units[-1]), *reversed(backward)]


def _length(piece: slice) -> int:
    return int(piece.stop - piece.start)
