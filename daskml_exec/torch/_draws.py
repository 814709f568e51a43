"""Random numbers of a step, by where the step is and not by what was drawn before it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# torch has one generator for all threads of a process. Whatever of this package draws from it has
# it for itself meanwhile: steps, and in the driver's process modules that are built and tried.
_lock = threading.RLock()

# Reading the generator's state takes a lock of torch's and makes an object, on which Python may
# collect garbage and let other threads go on: one that then asks for torch's lock waits for it with
# Python's own, for ever. Whatever here touches the generator does so one at a time.
_touch = threading.RLock()
_MASK = (1 << 64) - 1


def epoch_key(seed: int, partition: int, epoch: int) -> int:
    """Return what the seeds of an epoch's steps are made from."""
    words = np.random.SeedSequence((seed, partition, epoch, 1)).generate_state(1, np.uint64)
    return int(words[0])


def score_key(seed: int, partition: int) -> int:
    """Return what seeds in scoring are made from: the same in all epochs, which are compared."""
    words = np.random.SeedSequence((seed, partition, 3)).generate_state(1, np.uint64)
    return int(words[0])


def step_seed(key: int, step: int) -> int:
    """Return the seed of one step, of 32 bits, by which neighbours have nothing in common.

    Source: Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators, OOPSLA.
    """
    mixed = (key + (step + 1) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) & 0xFFFFFFFF


def generator_state() -> torch.Tensor:
    """Return the state of torch's generator of this process."""
    with _touch:
        return torch.default_generator.get_state()


def set_generator_state(state: torch.Tensor) -> None:
    """Let torch's generator go on from this state."""
    with _touch:
        torch.default_generator.set_state(state)


def drawn_since(state: torch.Tensor) -> bool:
    """Whether anything was drawn from torch's generator since it had this state."""
    return not torch.equal(state, generator_state())


def seed_generator(seed: int) -> None:
    """Seed torch's generator; ``torch.manual_seed`` takes a hundred times as long."""
    with _touch:
        torch.default_generator.manual_seed(seed & 0xFFFFFFFF)


@contextmanager
def alone(draws: bool = True) -> Iterator[None]:
    """Have torch's generator for oneself while what runs draws from it, and leave it as it was.

    Parameters
    ----------
    draws : bool, default=True
        False for what does not draw: it need not wait.
    """
    if not draws:
        yield
        return
    with _lock:
        before = generator_state()
        try:
            yield
        finally:
            set_generator_state(before)


def seed_step(seed: int, device: torch.device) -> None:
    """Seed the generators that modules draw from."""
    seed_generator(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)


class SampleGenerator:
    """A NumPy generator per sample, by the sample's place in the data.

    Parameters
    ----------
    seed, epoch : int
    """

    def __init__(self, seed: int, epoch: int) -> None:
        words = np.random.SeedSequence((seed, epoch, 2)).generate_state(2, np.uint64)
        self._bits = np.random.Philox(key=words)
        self._start = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def of(self, sample: int) -> np.random.Generator:
        """Return the generator of this sample; the one before is no longer to be used."""
        self._start["state"]["counter"] = np.array([0, sample, 0, 0], np.uint64)
        self._bits.state = self._start
        return self._generator
