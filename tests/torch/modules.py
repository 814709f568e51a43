"""Small modules that tests of several files train; Workers import them from here."""

import torch
from torch import nn


class Hidden(nn.Module):
    """One hidden layer; numbers of inputs and outputs are asked for by name."""

    def __init__(self, n_features, n_outputs, width=16, dtype=torch.float32):
        super().__init__()
        self.first = nn.Linear(n_features, width, dtype=dtype)
        self.last = nn.Linear(width, n_outputs, dtype=dtype)

    def forward(self, X):
        return self.last(torch.tanh(self.first(X.to(self.first.weight.dtype))))


class DoubleHidden(Hidden):
    """As `Hidden`, in double precision."""

    def __init__(self, n_features, n_outputs):
        super().__init__(n_features, n_outputs, dtype=torch.float64)
