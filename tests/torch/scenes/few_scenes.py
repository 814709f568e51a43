"""Some scenes as a loss gets them, and a module that says of any what it was told."""

import torch
from torch import nn

from scenes.compose import compose
from scenes.items import digits


def few_scenes(n):
    """Return scenes of digits, as tensors."""
    made = compose(digits("train"), range(n))
    return {name: torch.from_numpy(each) for name, each in made.items()}


class Fixed(nn.Module):
    """Says the same numbers of any scenes."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(numbers)

    def forward(self, images):
        return self.numbers[: len(images)]
