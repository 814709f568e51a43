"""The seventh tutorial at full size: ``python tutorials/segmentation_with_pytorch.py``.

A small U-Net says of each pixel what it is a pixel of, in 40,000 scenes of 1 to 4 images of
Fashion-MNIST each: in two partitions on two Workers of one thread, beside PyTorch's own loop in one
process of one thread. The module, mirror images, schedule and epochs are the same, and as many
scenes are in a step of both partitions together as in one of the loop. The learning rate of each
side is the best of `--rates` for 500 scenes that are held out, after few epochs on 1,000 others;
then it trains on all. Printed are intersection over union on 1,000 test scenes, of images that no
training scene has, as the mean of the ten classes, and the seconds that training takes.

The images are those of Debian's `dataset-fashion-mnist`; `--images` names another folder of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from scenes.measures import mask_ious
from scenes.sides import Task, compare

CLASSES = 11  # that of the ground, which is 0, and ten of items
RATES = (2.5e-3, 5e-3, 1e-2)

Norm = Callable[[int], nn.Module]
"""Of a number of channels."""


def unet(channels: int = 16, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """Return four levels, from 64 by 64 pixels to 8 by 8 and back.

    Its parts pass on a tuple of tensors: one for each level that is still to come back to. The
    first is the images themselves, as anything else in their size would take most of the time.
    """
    c = channels
    return nn.Sequential(
        Into(c, norm), Down(c, 2 * c, norm), Down(2 * c, 8 * c, norm), Bottom(8 * c, norm),
        Up(8 * c, 2 * c, 2 * c, norm), Up(2 * c, c, c, norm), Up(c, c // 2, 1, norm), Out(c // 2),
    )  # fmt: skip


class Into(nn.Module):
    """From bytes to images, and to features of half their height and width."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.layers = halved(1, channels, norm)

    def forward(self, images: Any) -> Any:
        images = images.float() / 255
        return (images, self.layers(images))


class Down(nn.Module):
    """Adds a level of half the height and width."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(halved(before, after, norm), convolution(after, after, norm))

    def forward(self, levels: Any) -> Any:
        return (*levels, self.layers(levels[-1]))


class Bottom(nn.Module):
    """Looks further at the last level, where a look costs least."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.layers = convolution(channels, channels, norm)

    def forward(self, levels: Any) -> Any:
        *others, here = levels
        return (*others, here + self.layers(here))


class Up(nn.Module):
    """Makes one level of the last two, of which the upper one has `across` channels."""

    def __init__(self, before: int, after: int, across: int, norm: Norm) -> None:
        super().__init__()
        self.larger = nn.ConvTranspose2d(before, after, 2, stride=2)
        self.layers = convolution(after + across, after, norm)

    def forward(self, levels: Any) -> Any:
        *others, here, below = levels
        return (*others, self.layers(torch.cat([here, self.larger(below)], dim=1)))


class Out(nn.Module):
    """Scores of each class for each pixel: (n, 11, 64, 64)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scores = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, levels: Any) -> Any:
        return self.scores(levels[0])


def convolution(before: int, after: int, norm: Norm) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), norm(after), nn.ReLU())


def halved(before: int, after: int, norm: Norm) -> nn.Module:
    """Return a convolution to half the height and width."""
    return nn.Sequential(
        nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False), norm(after), nn.ReLU()
    )


def pixel_loss(module: Any, scenes: Mapping[str, Any]) -> Any:
    """Return the mean over pixels of items and, with a tenth of their weight, the ground."""
    wanted = scenes["mask"].long()
    losses = functional.cross_entropy(module(scenes["image"]), wanted, reduction="none")
    weights = torch.where(wanted > 0, 1.0, 0.1)
    return (losses * weights).sum() / weights.sum(), weights.sum()


def find_masks(module: Any, scenes: Mapping[str, Any]) -> Any:
    """Return the class of each pixel, (n, 64, 64)."""
    return module(scenes["image"]).argmax(dim=1).to(torch.uint8)


def mean_iou(found: np.ndarray, truth: Mapping[str, np.ndarray]) -> float:
    """Return the mean of the ten classes' intersections over unions, without the ground's."""
    return float(np.nanmean(mask_ious(found, truth["mask"], CLASSES)[1:]))


def draw(scenes: Any, found: Any, names: Any) -> Any:
    from scenes.pictures import with_masks  # which needs matplotlib

    return with_masks(scenes, found, names)


TASK = Task(unet, pixel_loss, find_masks, mean_iou, "mean IoU")

if __name__ == "__main__":
    compare(TASK, str(__doc__), RATES, scenes=40_000, epochs=5, draw=draw)
