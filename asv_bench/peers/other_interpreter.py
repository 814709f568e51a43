"""Peers that want an environment of their own: a process each, which loads the data once."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from peers.sides import Fitted, Setting
from peers.storage import store


class Rows(Protocol):
    """What a peer is started with: a problem, or anything else that has rows and targets."""

    @property
    def X(self) -> Any: ...
    @property
    def y(self) -> Any: ...


class PeerUnavailableError(Exception):
    """The peer is not there, or it failed; the message says which."""


@dataclass(frozen=True)
class OtherPeer:
    """A module of this package that serves fits, and where it can run."""

    name: str
    module: str
    needs: tuple[str, ...]
    """What the interpreter must be able to import."""
    variable: str
    """The environment variable that names the interpreter."""
    remedy: str

    @property
    def interpreter(self) -> str:
        return os.environ.get(self.variable) or sys.executable

    def check(self) -> None:
        """Raise PeerUnavailableError where the interpreter lacks what the peer needs."""
        imports = "; ".join(f"import {name}" for name in self.needs)
        lacking = (
            f"not installed: {self.name} ({self.remedy}; {self.variable} names the interpreter)"
        )
        try:
            found = subprocess.run([self.interpreter, "-c", imports], capture_output=True)
        except OSError as error:
            raise PeerUnavailableError(f"{lacking}: {error}") from error
        if found.returncode:
            raise PeerUnavailableError(lacking)


SPARK = OtherPeer(
    "pyspark",
    "peers.spark_server",
    ("pyspark", "pandas", "pyarrow"),
    "PEERS_SPARK_PYTHON",
    "pip install pyspark pandas pyarrow, needs Java 17 or later",
)
DASK_ML = OtherPeer(
    "dask-ml",
    "peers.dask_ml_server",
    ("dask_ml.linear_model",),
    "PEERS_DASK_ML_PYTHON",
    "pip install dask-ml",
)
TORCH = OtherPeer(
    "PyTorch", "peers.torch_server", ("torch",), "PEERS_TORCH_PYTHON", "pip install torch"
)
TENSORFLOW = OtherPeer(
    "TensorFlow",
    "peers.tensorflow_server",
    ("tensorflow",),
    "PEERS_TENSORFLOW_PYTHON",
    "pip install tensorflow",
)


class Server:
    """A running peer."""

    def __init__(self, peer: OtherPeer, process: Any, errors: Any) -> None:
        self._peer, self._process, self._errors = peer, process, errors

    def fit(self, setting: Setting, **fixed: Any) -> Fitted:
        """Fit there; the seconds are those that the peer's own clock counted."""
        answer = self.ask({**fixed, **setting})
        return Fitted(
            answer["seconds"], np.array(answer["coef"]), np.atleast_1d(answer["intercept"])
        )

    def ask(self, request: dict[str, Any]) -> Any:
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self.read()

    def read(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            last = self._errors.read().strip().splitlines()[-3:]
            raise PeerUnavailableError(f"failed: {self._peer.name}: {' / '.join(last)}")
        return json.loads(line)


@contextmanager
def running(peer: OtherPeer, problem: Rows) -> Iterator[Server]:
    """Start the peer with the problem's rows; it is ready when it holds them in memory."""
    peer.check()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        store(Path(folder), problem.X, problem.y)
        process = subprocess.Popen(
            [peer.interpreter, "-m", peer.module, folder],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            try:
                server = Server(peer, process, errors)
                server.read()
                yield server
            finally:
                # The end of its input ends the peer, with whatever it started itself.
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
