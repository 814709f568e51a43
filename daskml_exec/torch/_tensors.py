"""Trees of arrays as trees of tensors, and back."""

from typing import Any

import numpy as np
import torch

from daskml_exec.partitions import map_leaves

# torch keeps unsigned integers of so many bytes, and computes with none of them.
_NEXT_SIGNED = {2: np.int32, 4: np.int64, 8: np.int64}


def taken(tree: Any, rows: Any) -> Any:
    """Return these rows of all arrays: copies, which a loss may change in place."""
    return map_leaves(lambda leaf: np.take(leaf, rows, axis=0), tree)


def tensors(tree: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Return arrays that are the callee's own as tensors: real ones in the module's dtype."""

    def tensor(leaf: Any) -> torch.Tensor:
        if leaf.dtype.kind == "u" and leaf.dtype.itemsize > 1:
            leaf = leaf.astype(_NEXT_SIGNED[leaf.dtype.itemsize])
        if not leaf.dtype.isnative:
            leaf = leaf.astype(leaf.dtype.newbyteorder("="))
        made = torch.from_numpy(leaf)
        return made.to(device, dtype if made.is_floating_point() else None)

    return map_leaves(tensor, tree)


def cloned(tree: Any) -> Any:
    """Return a tree of tensors in memory of its own: user functions may change it in place."""
    return map_leaves(torch.Tensor.clone, tree)


def arrays(tree: Any) -> Any:
    """Return tensors, wherever they are, as arrays; what is no tensor stays."""

    def array(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor):
            return leaf
        leaf = leaf.detach()
        if leaf.dtype == torch.bfloat16:
            leaf = leaf.float()
        return leaf.cpu().numpy()

    return map_leaves(array, tree)


def batch_of(*given: Any) -> Any:
    """Return what a loss gets: X alone, or X with y, and with weights, where they were given."""
    return given[0] if len(given) == 1 else given
