"""Fits whose bits are held against those of one Worker, and of PyTorch's own loop."""

import dask
import numpy as np
import torch

from daskml_exec import Executor
from daskml_exec.torch._steady import steady
from tests.failures.test_lost_workers import kill
from tests.torch.networks import bits

SHORT_SEGMENTS = {"daskml-exec.commit-interval": "0s", "daskml-exec.segment-duration": "1ms"}
"""For the dask config: segments of few steps each, every one of them committed."""


def require_bits_with_a_worker_killed(fit, expected):
    """Kill a Worker at the first record that there is: of a round, or of a committed segment."""
    told = []

    def kill_one(event):
        if not told:
            told.append(event.record.round)
            kill(executor, executor.workers()[0].address)

    # Segments are of few steps, so that some are left when a Worker goes.
    with dask.config.set(SHORT_SEGMENTS), Executor(n_workers=2) as executor:
        model = fit(callbacks=[kill_one])
    assert told and model.history_.workers_lost == 1
    assert bits(model) == expected


def require_weights(model, module):
    for key, each in module.state_dict().items():
        assert torch.equal(each, model.state_dict_[key]), key


def usual_loop(module, loss, samples, order, *, batch, epochs):
    """Return the module after PyTorch's own steps over samples, in an estimator's order."""
    n = len(next(iter(samples.values())))
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)  # as an estimator's
    with steady(torch.device("cpu")):
        module.train()
        for epoch in range(epochs):
            for rows in np.split(order.of_epoch(np.arange(n), epoch), n // batch):
                some = {key: torch.from_numpy(each[rows]) for key, each in samples.items()}
                optimiser.zero_grad()
                loss(module, some)[0].backward()
                optimiser.step()
    return module
