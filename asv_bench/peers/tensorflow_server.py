"""TensorFlow on two threads, its rows in memory: ``python -m peers.tensorflow_server FOLDER``.

Runs in an interpreter that has TensorFlow, and imports nothing else of ours but the reader of rows.

A training step is a `tf.function`, with its optimiser in one operation for each array: Keras makes
more of them. Its steps are called one by one, or by a `tf.function` that runs an epoch of them.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from peers.serve import respond
from peers.storage import load_X, load_y

THREADS = 2
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
HIDDEN, CLASSES = 128, 10


def main() -> None:
    folder = Path(sys.argv[1])
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    n = len(np.load(folder / "y.npy", mmap_mode="r"))
    X, y = tf.constant(load_X(folder, 0, n)), tf.constant(load_y(folder, 0, n))
    respond(lambda request: {"seconds": train(X, y, **request)})


def train(
    X: Any,
    y: Any,
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    jit: bool,
    whole_epochs: bool,
) -> list[float]:
    """Return the seconds of each epoch."""
    tf.keras.backend.clear_session()
    n = len(y)
    step = step_of(X, y, rate, seed, jit)
    whole = n // batch

    def epoch(order: Any) -> None:
        for index in tf.range(whole) if whole_epochs else range(whole):
            step(order[index * batch : (index + 1) * batch])
        if n % batch:
            step(order[whole * batch :])

    if whole_epochs:
        epoch = tf.function(epoch)
    rng = np.random.default_rng(seed)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        epoch(tf.constant(rng.permutation(n)))
        seconds.append(time.perf_counter() - started)
    return seconds


def step_of(X: Any, y: Any, rate: float, seed: int, jit: bool) -> Callable[[Any], None]:
    """Return a function that trains on the rows of these numbers."""
    rng = np.random.default_rng(seed)
    weights = []
    for fan_in, fan_out in ((X.shape[1], HIDDEN), (HIDDEN, CLASSES)):
        bound = np.sqrt(6 / (fan_in + fan_out))
        weights.append(tf.Variable(rng.uniform(-bound, bound, (fan_in, fan_out)), dtype="float32"))
        weights.append(tf.Variable(tf.zeros(fan_out)))
    moments = [[tf.Variable(tf.zeros_like(weight)) for weight in weights] for _ in range(2)]
    powers = [tf.Variable(BETA_1), tf.Variable(BETA_2)]

    @tf.function(jit_compile=jit)
    def step(rows: Any) -> None:
        W1, b1, W2, b2 = weights
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(tf.gather(X, rows) @ W1 + b1)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.gather(y, rows), hidden @ W2 + b2
            )
            loss = tf.reduce_mean(losses)
        for weight, m, v, gradient in zip(
            weights, *moments, tape.gradient(loss, weights), strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )
        powers[0].assign(powers[0] * BETA_1)
        powers[1].assign(powers[1] * BETA_2)

    return step


if __name__ == "__main__":
    main()
