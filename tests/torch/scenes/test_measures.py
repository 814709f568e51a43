"""AP50 and IoU against cases by hand, and against the definition in plain Python."""

import numpy as np
import pytest
import torch

from scenes.measures import average_precisions, box_iou, mask_ious, mean_precision

HERE, THERE, NOWHERE = [0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]


def truth_of(*scenes):
    """Return arrays of scenes that are lists of (box, label)."""
    most = max(len(scene) for scene in scenes) + 1  # one that fills up at least
    filled = [[*scene, *[(HERE, 0)] * (most - len(scene))] for scene in scenes]
    return {
        "boxes": np.array([[box for box, _ in scene] for scene in filled], float),
        "labels": np.array([[label for _, label in scene] for scene in filled]),
        "count": np.array([len(scene) for scene in scenes]),
    }


def found_of(*scenes):
    """Return arrays of scenes that are lists of (box, label, score)."""
    most = max(len(scene) for scene in scenes) + 1
    filled = [[*scene, *[(HERE, 0, 0.0)] * (most - len(scene))] for scene in scenes]
    return {
        "boxes": np.array([[box for box, _, _ in scene] for scene in filled], float),
        "labels": np.array([[label for _, label, _ in scene] for scene in filled]),
        "scores": np.array([[score for _, _, score in scene] for scene in filled]),
    }


CASES = {
    "all found": ([[(HERE, 0, 0.9), (THERE, 0, 0.1)]], [[(HERE, 0), (THERE, 0)]], 1),
    "one missed": ([[(HERE, 0, 0.9)]], [[(HERE, 0), (THERE, 0)]], 1 / 2),
    "nothing found": ([[]], [[(HERE, 0)]], 0),
    "a surer one is wrong": ([[(NOWHERE, 0, 0.9), (HERE, 0, 0.8)]], [[(HERE, 0)]], 1 / 2),
    "a less sure one is wrong": ([[(NOWHERE, 0, 0.7), (HERE, 0, 0.8)]], [[(HERE, 0)]], 1),
    "found twice": (
        [[(HERE, 0, 0.9), (HERE, 0, 0.8), (THERE, 0, 0.7)]],
        [[(HERE, 0), (THERE, 0)]],
        1 / 2 + 1 / 2 * 2 / 3,
    ),
    "precision that rises again": (
        [
            [(HERE, 0, 0.9), (NOWHERE, 0, 0.8), (NOWHERE, 0, 0.7)],
            [(HERE, 0, 0.6), (THERE, 0, 0.5)],
        ],
        [[(HERE, 0)], [(HERE, 0), (THERE, 0)]],
        (1 + 3 / 5 + 3 / 5) / 3,
    ),
    "in another scene": ([[(HERE, 0, 0.9)], []], [[(THERE, 0)], [(HERE, 0)]], 0),
    "scenes by score": ([[(HERE, 0, 0.2)], [(NOWHERE, 0, 0.9)]], [[(HERE, 0)], []], 1 / 2),
    "of another class": ([[(HERE, 1, 0.9)]], [[(HERE, 0)]], 0),
    "half is enough": ([[([0, 0, 10, 5], 0, 0.9)]], [[(HERE, 0)]], 1),
    "less is not": ([[([0, 0, 10, 4.9], 0, 0.9)]], [[(HERE, 0)]], 0),
    "the nearer of two": (
        [[([0, 0, 10, 8], 0, 0.9), ([0, 0, 10, 6], 0, 0.8)]],
        [[([0, 0, 10, 6.5], 0), ([0, 0, 10, 9], 0)]],
        1,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_average_precision_by_hand(name):
    found, truth, expected = CASES[name]
    values = average_precisions(found_of(*found), truth_of(*truth), 3)
    assert values[0] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(values[1:]).all()


def test_the_mean_is_over_classes_that_are_there():
    found = found_of([(HERE, 0, 0.9), (NOWHERE, 2, 0.9)])
    assert mean_precision(found, truth_of([(HERE, 0), (THERE, 1)]), 5) == 0.5


def test_average_precision_by_its_definition():
    generator = np.random.default_rng(0)
    truths, founds = [], []
    for _ in range(30):
        truth = [(random_box(generator), int(generator.integers(3))) for _ in range(4)]
        truths.append(truth)
        founds.append(
            [
                (list(np.array(box) + generator.normal(0, 1.5, 4)), label, generator.random())
                for box, label in truth
                for _ in range(2)
            ]
            + [(random_box(generator), int(generator.integers(3)), generator.random())]
        )
    values = average_precisions(found_of(*founds), truth_of(*truths), 3)
    assert values == pytest.approx([by_definition(founds, truths, k) for k in range(3)], abs=1e-12)
    assert values.min() > 0.2 and values.max() < 0.9


def random_box(generator):
    left, top = generator.uniform(0, 40, 2)
    width, height = generator.uniform(5, 20, 2)
    return [left, top, left + width, top + height]


def by_definition(founds, truths, label):
    wanted = {(s, i) for s, t in enumerate(truths) for i, (_, k) in enumerate(t) if k == label}
    found = [(score, s, box) for s, f in enumerate(founds) for box, k, score in f if k == label]
    points, n_right, n_wanted = [], 0, len(wanted)
    for n_found, (_, s, box) in enumerate(sorted(found, key=lambda each: -each[0]), 1):
        near = [(iou(box, truths[t][i][0]), (t, i)) for t, i in wanted if t == s]
        if near and max(near)[0] >= 0.5:
            wanted.remove(max(near)[1])
            n_right += 1
        points.append((n_right / n_wanted, n_right / n_found))
    area, recall = 0.0, 0.0
    for i, (here, _) in enumerate(points):
        area += (here - recall) * max(precision for _, precision in points[i:])
        recall = here
    return area


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_iou_of_boxes(kind):
    generator = np.random.default_rng(1)
    first = np.array([[random_box(generator) for _ in range(5)] for _ in range(2)])
    second = np.array([[random_box(generator) for _ in range(3)] for _ in range(2)])
    found = np.asarray(box_iou(kind(first), kind(second)))
    expected = [
        [[iou(a, b) for b in bs] for a in a_s] for a_s, bs in zip(first, second, strict=True)
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-12)
    assert (found > 0).any() and (found == 0).any()


def test_iou_of_empty_boxes_and_of_a_box_with_itself():
    boxes = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 4.0, 8.0]])
    assert box_iou(boxes, boxes).tolist() == [[0, 0], [0, 1]]


def test_iou_of_masks():
    generator = np.random.default_rng(2)
    truth, found = generator.integers(0, 4, size=(2, 6, 5, 5)).astype(np.uint8)
    values = mask_ious(found, truth, 5)
    for k in range(4):
        shared, either = (found == k) & (truth == k), (found == k) | (truth == k)
        assert values[k] == shared.sum() / either.sum()
    assert np.isnan(values[4])
