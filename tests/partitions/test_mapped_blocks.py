"""Queries of blocks as they come: the driver's own blocks go, whenever they are there."""

from dataclasses import dataclass

import numpy as np
import pytest
from distributed import wait

from daskml_exec import Executor
from daskml_exec.partitions import _mapped_blocks, mapped_blocks
from daskml_exec.training import Query, reduce


@dataclass(frozen=True)
class Doubled(Query):
    def partial(self, block):
        return 2 * block.X


@dataclass(frozen=True)
class Total(Query):
    def partial(self, partition):
        return float(partition.sum())


@pytest.mark.parametrize("at_once", [False, True])
def test_blocks_of_the_driver_that_are_there_before_the_query(monkeypatch, at_once):
    def ship(*args, **options):
        future = shipped(*args, **options)
        if at_once:
            wait(future)
        return future

    shipped = _mapped_blocks.ship
    monkeypatch.setattr(_mapped_blocks, "ship", ship)
    with Executor(processes=False, n_workers=2) as executor:
        made = mapped_blocks(executor, np.arange(10.0), Doubled())
        assert reduce(Total(), made) == 90.0
        made.release()
