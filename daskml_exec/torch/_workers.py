"""What Workers have: torch, of which release, and GPUs."""

import socket
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

from daskml_exec.executor import Executor, WorkerMismatchError
from daskml_exec.executor._ask_workers import ask_workers
from daskml_exec.training import FitWarning


@dataclass(frozen=True)
class Found:
    """What one process has.

    Attributes
    ----------
    release : str
        Of torch.
    capability : str
        Of the CPU, by which torch chooses its kernels.
    host : str
    gpus : tuple of str
        Those that it sees, the one that it would use first.
    """

    release: str
    capability: str
    host: str
    gpus: tuple[str, ...]


def look() -> Found:
    """Return what this process has."""
    gpus: list[str] = []
    if torch.cuda.is_available():
        gpus = [
            str(getattr(torch.cuda.get_device_properties(index), "uuid", index))
            for index in range(torch.cuda.device_count())
        ]
    capability = torch.backends.cpu.get_cpu_capability()
    return Found(torch.__version__, capability, socket.gethostname(), tuple(gpus))


# By the Client.
_known: "weakref.WeakKeyDictionary[Any, dict[str, Found]]" = weakref.WeakKeyDictionary()
_warned_of: "weakref.WeakKeyDictionary[Any, set[str]]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def found_on(executor: Executor) -> Mapping[str, Found]:
    """Return what each worker has, by address; each is asked once.

    Workers that go away meanwhile are left out.

    Raises
    ------
    WorkerMismatchError
        A worker lacks torch, or cannot load it.
    """
    client = executor.client
    with _lock:
        known = _known.setdefault(client, {})
        addresses = set(executor.check_workers())
        if new := sorted(addresses - known.keys()):
            # Not by a function of this package: it would import torch where there is none.
            releases = ask_workers(client, new, version, "torch")
            if without := [who for who, what in releases.items() if isinstance(what, ImportError)]:
                raise WorkerMismatchError(
                    f"{len(without)} of {len(addresses)} workers have no torch, {without[0]} among "
                    "them; allowed are workers with the same packages as this process, which has "
                    f"torch {torch.__version__}: pip install 'daskml-exec[torch]' there"
                )
            found = ask_workers(client, sorted(releases), look)
            for who, what in found.items():
                if isinstance(what, BaseException):
                    raise WorkerMismatchError(
                        f"the worker {who} has torch {releases[who]} and cannot use it: {what!r}; "
                        "allowed are workers on which `import torch` works"
                    ) from what
            known.update(found)
        return {address: known[address] for address in sorted(addresses & known.keys())}


def device_on(executor: Executor | None, device: str) -> str:
    """Return the device that workers are to use: "cpu", "cuda", or "auto" for whichever they have.

    Raises
    ------
    ValueError
        There is none, or GPUs would be shared without anybody having asked for that.
    WorkerMismatchError
        A worker lacks torch.
    """
    kind, _, index = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise ValueError(f"{device=}; allowed are 'auto', 'cpu', 'cuda' and 'cuda:0' and so on")
    found = {"this process": look()} if executor is None else found_on(executor)
    if device == "cpu":
        return device
    if device != "auto":
        _require_gpus(found, device, int(index or 0))
        return device
    if not any(each.gpus for each in found.values()):
        return "cpu"
    if executor is not None:
        _require_own_gpus(found, executor.client.nthreads())
    return device


def _require_gpus(found: Mapping[str, Found], device: str, index: int) -> None:
    without = [who for who, each in found.items() if len(each.gpus) <= index]
    if not without:
        return
    n = len(found[without[0]].gpus)
    has = f"{n} GPU{'s' * (n != 1)}" if n else "no GPU"
    who = without[0]
    if who != "this process":
        who = f"{len(without)} of {len(found)} workers lack it; {who}"
    raise ValueError(
        f"{device=}, and {who} sees {has}; allowed are 'auto', which takes a GPU where there is "
        "one, and 'cpu'"
    )


def _require_own_gpus(found: Mapping[str, Found], threads: Mapping[str, int]) -> None:
    users: Counter[tuple[str, str]] = Counter()
    for address, each in found.items():
        if each.gpus:
            users[each.host, each.gpus[0]] += threads.get(address, 1)
    (host, gpu), n = users.most_common(1)[0]
    if n > 1:
        raise ValueError(
            f"device='auto', and {n} threads of workers on {host} would share the GPU {gpu}; "
            "allowed are one worker with one thread for each GPU, by CUDA_VISIBLE_DEVICES, "
            "device='cuda' to share it, and device='cpu'"
        )


def differences(executor: Executor) -> list[FitWarning]:
    """Return what there is to say of workers by which the last bits of a fit may differ, once."""
    found = found_on(executor)
    releases = {each.release for each in found.values()} | {torch.__version__}
    differ = []
    if len(releases) > 1:
        differ.append(f"torch is of the releases {', '.join(sorted(releases))}")
    if len({each.capability for each in found.values()}) > 1:
        differ.append("their CPUs have different instructions")
    if len({bool(each.gpus) for each in found.values()}) > 1:
        differ.append("some have a GPU and some have none")
    why = "; ".join(differ)
    warned_of = _warned_of.setdefault(executor.client, set())
    if not why or why in warned_of:
        return []
    warned_of.add(why)
    return [
        FitWarning(
            "workers",
            f"workers differ: {why}. The last bits of a fit then depend on which partition falls "
            "to which worker",
            RuntimeWarning,
        )
    ]
