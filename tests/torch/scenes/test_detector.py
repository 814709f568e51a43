"""What a detector's numbers mean, which boxes stay, and what it learns from."""

import math

import numpy as np
import pytest
import torch

import detection_with_pytorch as detection
from scenes.cells import CANDIDATES, CELL, USUAL, best_boxes, boxes_of, places
from tests.torch.scenes.few_scenes import Fixed, few_scenes
from tests.torch.scenes.test_measures import iou

CLASSES, CELLS = detection.CLASSES, 8


@pytest.fixture(scope="module")
def scenes():
    return few_scenes(12)


@pytest.fixture
def numbers():
    torch.manual_seed(0)
    return torch.randn(12, 5 + CLASSES, CELLS, CELLS, dtype=torch.float64)


def logit(p):
    return math.log(p / (1 - p))


def numbers_of(boxes, labels, n):
    """Return what a detector says that is sure of these boxes of one scene each."""
    numbers = torch.full((n, 5 + CLASSES, CELLS, CELLS), -20.0, dtype=torch.float64)
    for i, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        left, top, right, bottom = box.tolist()
        x, y = (left + right) / 2 / CELL, (top + bottom) / 2 / CELL
        values = [20.0, logit((x % 1 + 0.5) / 2), logit((y % 1 + 0.5) / 2)]
        values += [math.log((right - left) / USUAL), math.log((bottom - top) / USUAL)]
        numbers[i, :5, int(y), int(x)] = torch.tensor(values, dtype=torch.float64)
        numbers[i, 5 + label, int(y), int(x)] = 20.0
    return numbers


def test_boxes_are_found_that_a_detector_is_sure_of(scenes):
    boxes, labels = scenes["boxes"][:, 0], scenes["labels"][:, 0].long()
    found = best_boxes(numbers_of(boxes, labels, len(boxes)))
    assert found["boxes"][:, 0].numpy() == pytest.approx(boxes.numpy(), abs=1e-4)
    assert torch.equal(found["labels"][:, 0], labels)
    assert (found["scores"][:, 0] > 0.99).all() and (found["scores"][:, 1:] < 0.01).all()


def test_each_item_has_the_cell_of_its_middle(scenes):
    found = places(scenes)
    expected = [
        (scene, int((top + bottom) / 2 // CELL), int((left + right) / 2 // CELL), label)
        for scene in range(12)
        for (left, top, right, bottom), label in zip(
            scenes["boxes"][scene, : scenes["count"][scene]].tolist(),
            scenes["labels"][scene, : scenes["count"][scene]].tolist(),
            strict=True,
        )
    ]
    rows = zip(*(each.tolist() for each in (*found.cells, found.labels)), strict=True)
    assert list(rows) == expected
    assert len(found.boxes) == scenes["count"].sum()


def test_what_stays_of_many_boxes(numbers):
    """Against the usual loop: take the largest score, drop what overlaps it, go on."""
    found = best_boxes(numbers, most=CANDIDATES)
    boxes = boxes_of(numbers).flatten(1, 2)
    scores = (numbers[:, :1].sigmoid() * numbers[:, 5:].softmax(dim=1)).flatten(2)
    n_dropped = 0
    for i in range(len(numbers)):
        left = [
            (float(scores[i, label, cell]), label, boxes[i, cell].tolist())
            for label in range(CLASSES)
            for cell in range(CELLS * CELLS)
        ]
        left = sorted(left, key=lambda each: -each[0])[:CANDIDATES]
        expected = []
        while left:
            best, *others = left
            expected.append(best)
            left = [each for each in others if each[1] != best[1] or iou(each[2], best[2]) < 0.5]
        n = len(expected)
        n_dropped += CANDIDATES - n
        assert found["scores"][i, :n].tolist() == [score for score, _, _ in expected]
        assert found["labels"][i, :n].tolist() == [label for _, label, _ in expected]
        assert found["boxes"][i, :n].numpy() == pytest.approx(np.array([b for *_, b in expected]))
        assert not found["scores"][i, n:].any()
    assert n_dropped > 0


def test_the_loss_by_plain_numbers(scenes, numbers):
    """Its formula, number by number."""
    found, n_items = detection.detection_loss(Fixed(numbers), scenes)
    boxes, total, filled = boxes_of(numbers).tolist(), 0.0, set()
    for scene in range(12):
        for item in range(int(scenes["count"][scene])):
            box, label = scenes["boxes"][scene, item].tolist(), int(scenes["labels"][scene, item])
            left, top, right, bottom = box
            column, row = int((left + right) / 2 // CELL), int((top + bottom) / 2 // CELL)
            filled.add((scene, row, column))
            said = boxes[scene][row][column]
            sizes = [right - left, bottom - top] * 2
            apart = [abs(a - b) / size for a, b, size in zip(said, box, sizes, strict=True)]
            total += 2 * (1 - iou(said, box) + sum(apart) / 4)
            scores = numbers[scene, 5:, row, column].tolist()
            total += math.log(sum(map(math.exp, scores))) - scores[label]
    for scene, row, column in np.ndindex(12, CELLS, CELLS):
        sure = float(numbers[scene, 0, row, column].sigmoid())
        total -= math.log(sure if (scene, row, column) in filled else 1 - sure)
    assert n_items == scenes["count"].sum()
    assert float(found.detach()) == pytest.approx(total / int(n_items), rel=1e-6)


def test_the_loss_of_what_is_right_is_almost_nothing(scenes):
    one = {**scenes, "count": torch.ones_like(scenes["count"])}
    numbers = numbers_of(one["boxes"][:, 0], one["labels"][:, 0].long(), 12)
    loss, _ = detection.detection_loss(Fixed(numbers), one)
    assert 0 <= float(loss.detach()) < 1e-4
