"""A grid of cells, each of which answers for the item whose middle lies in it.

A detector returns numbers of shape (n, 5 + classes, cells, cells): how sure it is of an item, where
the item's middle lies in the cell, and its width and height, before `boxes_of`, and then a score
for each class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from scenes.measures import MATCH, box_iou

CELL = 8
"""Pixels, across and down."""
USUAL = 24.0
"""Width and height that a cell says before it has learnt any."""
CANDIDATES = 24
"""Boxes of a scene that are looked at, those of the largest scores."""


def boxes_of(numbers: Any) -> Any:
    """Return left, top, right, bottom that each cell says: (n, cells, cells, 4).

    The middle may lie half a cell outside.
    """
    rows = torch.arange(numbers.shape[2], dtype=numbers.dtype)
    columns = torch.arange(numbers.shape[3], dtype=numbers.dtype)
    across = CELL * (columns + 2 * numbers[:, 1].sigmoid() - 0.5)
    down = CELL * (rows[:, None] + 2 * numbers[:, 2].sigmoid() - 0.5)
    width, height = (USUAL * numbers[:, i].clip(max=2).exp() for i in (3, 4))
    edges = [across - width / 2, down - height / 2, across + width / 2, down + height / 2]
    return torch.stack(edges, dim=-1)


@dataclass(frozen=True)
class Places:
    """Which cells answer for which items.

    Attributes
    ----------
    scene, row, column : int tensors of shape (n_items,)
    boxes : tensor of shape (n_items, 4)
    labels : int tensor of shape (n_items,)
    """

    scene: Any
    row: Any
    column: Any
    boxes: Any
    labels: Any

    @property
    def cells(self) -> tuple[Any, Any, Any]:
        return self.scene, self.row, self.column


def places(scenes: Mapping[str, Any]) -> Places:
    """Return the cells of all items of some scenes, of which two may have the same."""
    real = torch.arange(scenes["boxes"].shape[1]) < scenes["count"][:, None]
    scene, item = real.nonzero(as_tuple=True)
    boxes = scenes["boxes"][scene, item]
    middle = ((boxes[:, :2] + boxes[:, 2:]) / 2 / CELL).long()
    return Places(scene, middle[:, 1], middle[:, 0], boxes, scenes["labels"][scene, item].long())


def best_boxes(numbers: Any, most: int = 12) -> dict[str, Any]:
    """Return the boxes of each scene with the largest scores, and none twice.

    A box is dropped if it shares half with one of the same class and a larger score, that is not
    dropped itself (non-maximum suppression). What fills up has the score 0.

    Returns
    -------
    dict of tensors
        boxes (n, most, 4), labels (n, most), and scores (n, most): the products of how sure a cell
        is of an item, and of its class.
    """
    all_scores = numbers[:, :1].sigmoid() * numbers[:, 5:].softmax(dim=1)
    scores, chosen = all_scores.flatten(1).topk(CANDIDATES)
    cells = all_scores.shape[2] * all_scores.shape[3]
    labels = chosen // cells
    boxes = boxes_of(numbers).flatten(1, 2)[torch.arange(len(numbers))[:, None], chosen % cells]
    same = (box_iou(boxes, boxes) >= MATCH) & (labels[:, :, None] == labels[:, None, :])
    kept = torch.ones_like(scores, dtype=torch.bool)
    for i in range(CANDIDATES):  # in the order of scores, of all scenes at once
        worse = torch.arange(CANDIDATES) > i
        kept &= ~(kept[:, i, None] & same[:, i] & worse)
    scores, order = (scores * kept).sort(dim=1, descending=True, stable=True)
    order = order[:, :most]
    return {
        "boxes": boxes.gather(1, order[..., None].expand(-1, -1, 4)),
        "labels": labels.gather(1, order),
        "scores": scores[:, :most],
    }
