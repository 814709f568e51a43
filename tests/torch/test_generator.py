"""Threads that touch torch's generator while garbage is collected do not wait for one another."""

import subprocess
import sys
from pathlib import Path

import pytest

import daskml_exec.torch

THREADS = """
import gc, threading
import torch
from daskml_exec.torch._draws import generator_state

gc.set_threshold(1)
torch.set_num_threads(1)


def garbage():
    tensor = torch.ones(3, requires_grad=True)

    class Garbage:
        pass

    made = Garbage()
    made.itself, made.tensors = made, (tensor, (tensor * 2).sum())


def touch():
    for _ in range(20_000):
        garbage()
        generator_state()


threads = [threading.Thread(target=touch, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("ended")
"""


@pytest.mark.slow
def test_garbage_between_threads():
    # In a process of its own: one that hangs cannot be interrupted.
    found = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=300, check=False
    )
    assert found.stdout == "ended\n", found.stderr


def test_nothing_else_touches_it():
    folder = Path(daskml_exec.torch.__file__).parent
    touched = {
        path.name for path in folder.rglob("*.py") if "default_generator" in path.read_text("utf8")
    }
    assert touched == {"_draws.py"}
