import torch

from daskml_exec.torch._extra import require_torch


def test_what_is_required_is_torch_itself():
    assert require_torch("networks") is torch
