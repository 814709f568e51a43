"""Scenes of 64 by 64 pixels, with 1 to 4 items each, whose masks and boxes are known."""

from collections.abc import Iterable

import numpy as np

from scenes.items import Items

SIDE, MOST = 64, 4
SCALES = 0.75, 1.05
"""Smallest and largest size of an item, of its own."""
ITEM_PIXELS = 24
"""Brighter pixels are the item's."""
COVERED = 0.05
"""Share of its pixels that an item may share with others, less than that."""
TRIES = 50

Scenes = dict[str, np.ndarray]
"""Arrays with a row for each scene.

image : (n, 1, 64, 64), uint8
mask : (n, 64, 64), uint8: 0 where there is nothing, and 1 + label
boxes : (n, 4, 4), float32: left, top, right, bottom of each item, in pixels, and zeros
labels : (n, 4), uint8
count : (n,), uint8: as many of the boxes are items, the others fill up
"""


def compose(items: Items, numbers: Iterable[int], seed: int = 0) -> Scenes:
    """Return the scenes of these numbers; each has its own random numbers.

    So it is the same scene in whatever partition it is made.
    """
    made = [_scene(items, np.random.default_rng([seed, number])) for number in numbers]
    return {name: np.stack([each[name] for each in made]) for name in made[0]}


def mirrored(scene: Scenes, generator: np.random.Generator) -> Scenes:
    """Return one scene, without the leading axis, or its mirror image: half of the time each."""
    if generator.random() < 0.5:
        return scene
    real = np.arange(MOST) < scene["count"]
    left, top, right, bottom = scene["boxes"].T
    boxes = np.where(real, np.stack([SIDE - right, top, SIDE - left, bottom]), 0).T
    image, mask = scene["image"][..., ::-1], scene["mask"][..., ::-1]
    return {**scene, "image": image, "mask": mask, "boxes": boxes.astype(np.float32)}


def _scene(items: Items, generator: np.random.Generator) -> Scenes:
    image = np.zeros((SIDE, SIDE), np.uint8)
    owner = np.zeros((SIDE, SIDE), np.uint8)  # which item's a pixel is, from 1
    labels: list[int] = []
    sizes = [SIDE * SIDE]  # pixels of the ground, and of each item before others came upon it
    for _ in range(generator.integers(1, MOST + 1)):
        chosen = generator.integers(len(items.labels))
        item = _scaled(items.pixels[chosen], generator.uniform(*SCALES))
        shown = item > ITEM_PIXELS
        place = _free_place(shown, owner, np.array(sizes), generator)
        if place is not None:
            labels.append(int(items.labels[chosen]))
            sizes.append(int(shown.sum()))
            image[place][shown] = item[shown]
            owner[place][shown] = len(labels)
    return _described(image, owner, labels)


def _scaled(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Return an image of another size: each pixel is the nearest of the image."""
    rows, columns = (
        ((np.arange(round(scale * n)) + 0.5) * n / round(scale * n)).astype(int)
        for n in pixels.shape
    )
    return pixels[np.ix_(rows, columns)]


def _free_place(
    shown: np.ndarray, owner: np.ndarray, sizes: np.ndarray, generator: np.random.Generator
) -> tuple[slice, slice] | None:
    """Return where an item covers little of the others and of itself, if there is such a place."""
    left_over = np.bincount(owner.ravel(), minlength=len(sizes))
    for _ in range(TRIES):
        top, left = (generator.integers(SIDE - n + 1) for n in shown.shape)
        place = slice(top, top + shown.shape[0]), slice(left, left + shown.shape[1])
        shared = np.bincount(owner[place][shown], minlength=len(sizes))[1:]
        lost = sizes[1:] - left_over[1:] + shared
        if shared.sum() < COVERED * shown.sum() and (lost < COVERED * sizes[1:]).all():
            return place
    return None


def _described(image: np.ndarray, owner: np.ndarray, labels: list[int]) -> Scenes:
    boxes = np.zeros((MOST, 4), np.float32)
    padded = np.zeros(MOST, np.uint8)
    padded[: len(labels)] = labels
    for i in range(len(labels)):
        down, right = np.nonzero(owner == i + 1)
        boxes[i] = right.min(), down.min(), right.max() + 1, down.max() + 1
    mask = np.concatenate([[0], np.array(labels, np.uint8) + 1]).astype(np.uint8)[owner]
    count = np.array(len(labels), np.uint8)
    return {"image": image[None], "mask": mask, "boxes": boxes, "labels": padded, "count": count}
