"""Kernels look between blocks of rows and between steps whether their work is still wanted."""

import array_api_strict as xp
import numpy as np
import pytest
import scipy.sparse as sp

from daskml_exec.kernels.cross_moments import cross_moments
from daskml_exec.kernels.distributions import Gaussian
from daskml_exec.kernels.hessian_sums import hessian_sums
from daskml_exec.kernels.loss_sums import loss_sums
from daskml_exec.kernels.moments import column_moments
from daskml_exec.kernels.networks.local_steps import train_locally
from daskml_exec.kernels.networks.network import forward
from daskml_exec.kernels.networks.optimisers import init
from daskml_exec.kernels.standardisation import standardisation
from daskml_exec.kernels.stop_points import look_with, stop_point
from tests.kernels.networks.examples import OPTIMISERS, example

LARGE = np.ones((300_000, 2))
y = np.zeros(len(LARGE))


class Unwanted(BaseException):
    pass


@pytest.fixture
def wanted_for():
    """Let stop points raise from the n-th one on."""
    from daskml_exec.executor._cancelled import end_if_cancelled

    def set_number(n):
        looks = iter(range(n))

        def look():
            if next(looks, None) is None:
                raise Unwanted

        look_with(look)

    yield set_number
    look_with(end_if_cancelled)


def coordinates():
    moments = column_moments(LARGE, None)
    return standardisation(moments, curvature=1.0, penalty=1.0, fit_intercept=True)


def sums(X):
    return loss_sums(Gaussian(), X, y, None, np.zeros((1, 2)), np.zeros(1))


def hessian(to):
    return hessian_sums(Gaussian(), LARGE, None, to, np.zeros((1, 3)))


def steps(place):
    net = example()
    state = init(OPTIMISERS["adam"], len(net.parameters), net.parameters.dtype)
    return train_locally(
        net.network,
        OPTIMISERS["adam"],
        place(net.X),
        net.y,
        None,
        rows=np.arange(len(net.X)),
        batch=10,
        parameters=net.parameters,
        state=state,
        learning_rate=0.1,
        penalty=0.0,
    )


def predict():
    net = example()
    return forward(net.network, net.parameters, net.X, rows=10)


KERNELS = {
    "moments": lambda to: column_moments(LARGE, None),
    "loss sums": lambda to: sums(LARGE),
    "Hessian": hessian,
    "cross moments": lambda to: cross_moments(LARGE, y, None),
    "steps": lambda to: steps(np.asarray),
    "steps on a device": lambda to: steps(xp.asarray),
    "predictions": lambda to: predict(),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_ends_between_two_blocks(kernel, wanted_for):
    arguments = coordinates()
    wanted_for(1)
    with pytest.raises(Unwanted):
        KERNELS[kernel](arguments)


def test_a_sparse_pass_looks_before_it_begins(wanted_for):
    X = sp.csr_matrix(LARGE)
    wanted_for(0)
    with pytest.raises(Unwanted):
        sums(X)


def test_without_anybody_who_looks_nothing_happens(wanted_for):
    wanted_for(0)
    look_with(None)
    stop_point()
