"""The sixth tutorial at full size: ``python tutorials/detection_with_pytorch.py``.

A small detector finds clothes, of 1 to 4 images of Fashion-MNIST, in 5,500 scenes: in two
partitions on two Workers of one thread, beside PyTorch's own loop in one process of one thread. The
module, mirror images, schedule and epochs are the same, and as many scenes are in a step of both
partitions together as in one of the loop. The learning rate of each side is the best of `--rates`
for 500 scenes that are held out, after few epochs on 1,000 others; then it trains on all. Printed
are AP50 on 1,000 test scenes, of images that no training scene has, and the seconds that training
takes.

The images are those of Debian's `dataset-fashion-mnist`; `--images` names another folder of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from scenes.cells import best_boxes, boxes_of, places
from scenes.measures import box_iou, mean_precision
from scenes.sides import Task, compare

CLASSES = 10
RATES = (4e-3, 8e-3, 16e-3)

Norm = Callable[[int], nn.Module]
"""Of a number of channels."""


def detector(channels: int = 16, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """Return convolutions down to cells of 8 by 8 pixels, and once more for what is around them.

    `Around` passes on a tuple to `Together`: the cells, and what was seen from further away.
    """
    c = channels
    return nn.Sequential(
        Bytes(), *halving(1, c, norm), *halving(c, 2 * c, norm), *halving(2 * c, 4 * c, norm),
        *convolution(4 * c, 4 * c, norm), Around(4 * c, 8 * c, norm),
        Together(4 * c, 8 * c, norm), nn.Conv2d(8 * c, 5 + CLASSES, 1),
    )  # fmt: skip


class Bytes(nn.Module):
    """From bytes to numbers from 0 to 1."""

    def forward(self, images: Any) -> Any:
        return images.float() / 255


class Around(nn.Module):
    """Adds a level of cells twice as large."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(*halving(before, after, norm), *convolution(after, after, norm))

    def forward(self, cells: Any) -> Any:
        return cells, self.layers(cells)


class Together(nn.Module):
    """Makes one level of the two."""

    def __init__(self, fine: int, coarse: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(*convolution(fine + coarse, coarse, norm))

    def forward(self, levels: Any) -> Any:
        fine, coarse = levels
        larger = functional.interpolate(coarse, scale_factor=2)
        return self.layers(torch.cat([fine, larger], dim=1))


def convolution(before: int, after: int, norm: Norm) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), norm(after), nn.ReLU()]


def halving(before: int, after: int, norm: Norm) -> list[nn.Module]:
    return [*convolution(before, after, norm), nn.MaxPool2d(2)]


def detection_loss(module: Any, scenes: Mapping[str, Any]) -> Any:
    """Return the mean over items: whether cells have one, where it is, and what.

    All cells learn whether they have an item; where and what is learnt by those that have.
    """
    numbers, wanted = module(scenes["image"]), places(scenes)
    has_item = torch.zeros_like(numbers[:, 0])
    has_item[wanted.cells] = 1
    whether = functional.binary_cross_entropy_with_logits(numbers[:, 0], has_item, reduction="sum")
    boxes = boxes_of(numbers)[wanted.cells]
    where = distances(boxes, wanted.boxes).sum()
    scores = numbers[:, 5:].permute(0, 2, 3, 1)[wanted.cells]
    what = functional.cross_entropy(scores, wanted.labels, reduction="sum")
    n_items = len(wanted.labels)
    return (whether + 2 * where + what) / n_items, n_items


def distances(found: Any, true: Any) -> Any:
    """Return of each pair of boxes 1 - IoU, and how far apart edges are, in sizes of the item."""
    shared = box_iou(found[:, None], true[:, None])[:, 0, 0]
    sizes = (true[:, 2:] - true[:, :2]).repeat(1, 2)
    return 1 - shared + ((found - true).abs() / sizes).mean(dim=1)


def find_boxes(module: Any, scenes: Mapping[str, Any]) -> Any:
    """Return the best boxes of each scene, with labels and scores."""
    return best_boxes(module(scenes["image"]))


def ap50(found: Mapping[str, Any], truth: Mapping[str, Any]) -> float:
    return mean_precision(found, truth, CLASSES)


def draw(scenes: Any, found: Any, names: Any) -> Any:
    from scenes.pictures import with_boxes  # which needs matplotlib

    return with_boxes(scenes, found, names)


TASK = Task(detector, detection_loss, find_boxes, ap50, "AP50")

if __name__ == "__main__":
    compare(TASK, str(__doc__), RATES, scenes=5_500, epochs=8, draw=draw)
