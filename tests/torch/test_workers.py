"""What workers have, and what is said of them, with workers that only answer."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
import torch

from daskml_exec import Executor
from daskml_exec.executor import WorkerMismatchError
from daskml_exec.torch import _workers
from daskml_exec.torch._workers import Found, device_on, differences, found_on, look
from tests.torch.networks import estimator, samples

RELEASE = torch.__version__
PLAIN = Found(RELEASE, "AVX2", "here", ())
ON_GPU = Found(RELEASE, "AVX2", "here", ("GPU-1",))


class Cluster:
    """Stands for an Executor and its Client; workers answer with a `Found`, or with an error."""

    def __init__(self, *answers: Any, threads: int = 1) -> None:
        self.client = self
        self.answers = {f"tcp://{i}": answer for i, answer in enumerate(answers)}
        self.threads = threads
        self.asked: list[str] = []

    def check_workers(self) -> tuple[str, ...]:
        return tuple(self.answers)

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.answers, self.threads)

    def run(self, function: Callable[..., Any], *args: Any, workers: Any, on_error: str) -> Any:
        assert on_error == "return" and function in (version, look)
        self.asked += workers
        found = {who: self.answers[who] for who in workers}
        if function is look:
            return found
        absent = (PackageNotFoundError, OSError)
        return {
            who: each if isinstance(each, absent) else getattr(each, "release", RELEASE)
            for who, each in found.items()
        }


def cluster(*answers: Any, threads: int = 1) -> Any:
    return Cluster(*answers, threads=threads)


def test_each_is_asked_once() -> None:
    workers = cluster(PLAIN, PLAIN)
    assert found_on(workers) == {"tcp://0": PLAIN, "tcp://1": PLAIN}
    workers.answers["tcp://2"] = ON_GPU
    del workers.answers["tcp://0"]
    assert found_on(workers) == {"tcp://1": PLAIN, "tcp://2": ON_GPU}
    assert workers.asked.count("tcp://1") == 2  # for the release, and for the rest
    assert workers.asked.count("tcp://2") == 2


def test_a_worker_without_torch() -> None:
    workers = cluster(PLAIN, PackageNotFoundError("torch"))
    with pytest.raises(WorkerMismatchError, match=r"1 of 2 workers have no torch, tcp://1 .*pip"):
        found_on(workers)


def test_a_worker_that_has_torch_and_cannot_load_it() -> None:
    workers = cluster(PLAIN, ImportError("libcudart.so"))
    workers.run = lambda function, *args, workers, on_error: (
        dict.fromkeys(workers, RELEASE)
        if function is version
        else {"tcp://0": PLAIN, "tcp://1": ImportError("libcudart.so")}
    )
    with pytest.raises(WorkerMismatchError, match=r"tcp://1 has torch .* cannot use it.*cudart"):
        found_on(workers)


def test_a_worker_that_goes_away_meanwhile_is_not_one_without_torch() -> None:
    workers = cluster(PLAIN, OSError("it has gone"))
    assert found_on(workers) == {"tcp://0": PLAIN}
    workers.answers["tcp://1"] = PLAIN
    assert len(found_on(workers)) == 2


@pytest.mark.parametrize(
    "answers, told",
    [
        ([PLAIN, PLAIN], None),
        ([PLAIN, Found("2.0", "AVX2", "here", ())], "torch is of the releases 2.0, "),
        ([Found("2.0", "AVX2", "here", ())], "torch is of the releases 2.0, "),
        ([PLAIN, Found(RELEASE, "AVX512", "there", ())], "CPUs have different instructions"),
        ([PLAIN, ON_GPU], "some have a GPU and some have none"),
    ],
)
def test_workers_that_differ_are_told_of_once(answers: Any, told: str | None) -> None:
    workers = cluster(*answers)
    found = [each.message for each in differences(workers)]
    assert not differences(workers)
    if told is None:
        assert not found
    else:
        (text,) = found
        assert told in text
    workers.answers["tcp://9"] = Found("1.0", "NEON", "far", ())
    assert len(differences(workers)) == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:first", "mps"])
def test_devices_that_there_are_not(device: str) -> None:
    with pytest.raises(ValueError, match=rf"device='{device}'; allowed are 'auto', 'cpu', 'cuda'"):
        device_on(None, device)


@pytest.mark.parametrize(
    "answers, device, message",
    [
        ([PLAIN, PLAIN], "cuda", r"device='cuda', and 2 of 2 workers lack it; tcp://0 sees no GPU"),
        (
            [ON_GPU, PLAIN],
            "cuda",
            r"1 of 2 workers lack it; tcp://1 sees no GPU; allowed are 'auto",
        ),
        ([ON_GPU], "cuda:1", r"device='cuda:1', and 1 of 1 workers lack it; tcp://0 sees 1 GPU;"),
        ([ON_GPU, ON_GPU], "auto", r"2 threads of workers on here would share the GPU GPU-1"),
    ],
)
def test_gpus_that_are_missing_or_shared(answers: Any, device: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        device_on(cluster(*answers), device)


def test_threads_share_a_gpu_only_where_asked_to() -> None:
    with pytest.raises(ValueError, match=r"2 threads .* device='cuda' to share it, and device="):
        device_on(cluster(ON_GPU, threads=2), "auto")
    assert device_on(cluster(ON_GPU, threads=2), "cuda") == "cuda"


def test_devices_that_are_taken() -> None:
    other = Found(RELEASE, "AVX2", "here", ("GPU-2", "GPU-1"))
    assert device_on(cluster(PLAIN, PLAIN), "auto") == "cpu"
    assert device_on(cluster(ON_GPU, other), "auto") == "auto"
    assert device_on(cluster(ON_GPU, PLAIN), "auto") == "auto"
    assert device_on(cluster(ON_GPU, ON_GPU), "cpu") == "cpu"


def test_torch_must_be_there_for_the_cpu_too() -> None:
    with pytest.raises(WorkerMismatchError, match="have no torch"):
        device_on(cluster(PackageNotFoundError("torch")), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_where_there_is_none_in_this_process() -> None:
    with pytest.raises(ValueError, match=r"device='cuda', and this process sees no GPU"):
        device_on(None, "cuda")


def test_a_fit_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Found("2.0", "AVX2", "here", ())
    monkeypatch.setattr(_workers, "look", lambda: old)
    with Executor(processes=False, n_workers=1):
        with pytest.warns(RuntimeWarning, match="releases 2.0"):
            estimator("mlp", max_epochs=1).fit(*samples("mlp"))
        estimator("mlp", max_epochs=1).fit(*samples("mlp"))
