"""Scenes with what was found in them, drawn by matplotlib."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from scenes.compose import Scenes

SHOWN = 6


def with_boxes(
    scenes: Scenes,
    found: Mapping[str, np.ndarray],
    names: Sequence[str],
    least: float = 0.5,
) -> Any:
    """Draw boxes that were found in the first scenes, with scores of `least` and more."""
    figure, axes = plt.subplots(1, SHOWN, figsize=(12, 2.2), layout="constrained")
    for i, axis in enumerate(axes):
        axis.imshow(scenes["image"][i, 0], cmap="gray_r", vmin=0, vmax=255)
        for box, label, score in zip(*(found[each][i] for each in _FOUND), strict=True):
            if score >= least:
                left, top, right, bottom = box - 0.5  # pixels have their centres on whole numbers
                colour = f"C{label}"
                axis.add_patch(
                    plt.Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour)
                )
                axis.text(left, top, f"{names[label]} {score:.0%}", size=6, c=colour, va="bottom")
        axis.axis("off")
    return figure


_FOUND = ("boxes", "labels", "scores")


def with_masks(scenes: Scenes, found: np.ndarray, names: Sequence[str]) -> Any:
    """Draw the first scenes, their true masks, and those that were found."""
    figure, axes = plt.subplots(3, SHOWN, figsize=(12, 6), layout="constrained")
    for i in range(SHOWN):
        axes[0, i].imshow(scenes["image"][i, 0], cmap="gray_r", vmin=0, vmax=255)
        for axis, mask in zip(axes[1:, i], (scenes["mask"][i], found[i]), strict=True):
            axis.imshow(np.ma.masked_equal(mask, 0), cmap="tab10", vmin=1, vmax=10)
    for axis, title in zip(axes[:, 0], ("scene", "its mask", "found"), strict=True):
        axis.set_title(title, size=8, loc="left")
    for axis in axes.flat:
        axis.axis("off")
    colours = plt.get_cmap("tab10").colors[: len(names)]
    patches = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours]
    figure.legend(patches, names, loc="outside lower center", ncols=len(names), fontsize=8)
    return figure
