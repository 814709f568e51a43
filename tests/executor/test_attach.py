"""Other ways to a cluster: a scheduler's file, TLS; and Clients that lead nowhere."""

import json
import subprocess
import sys
import threading
import time

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, Security

from daskml_exec import Executor
from daskml_exec.executor import _address, _current, _dashboard
from daskml_exec.linear_model import Ridge


def square(executor):
    return executor.submit(pow, 3, 2).result(30)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_scheduler_file(process_cluster, tmp_path, kind):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"type": "Scheduler", "address": process_cluster.scheduler_address}))
    with Executor(kind(file)) as executor:
        assert square(executor) == 9


def test_a_scheduler_file_that_comes_late(tmp_path):
    file = tmp_path / "scheduler.json"
    missing, half_written = threading.Event(), threading.Event()

    def write():
        missing.wait(10)
        file.write_text('{"address": ')
        half_written.wait(10)
        file.write_text('{"address": "tcp://127.0.0.1:7"}')

    def sleep(seconds, wait=time.sleep):
        (half_written if file.exists() else missing).set()
        wait(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_address.time, "sleep", sleep)
        assert _address.address_in_file(file, timeout=30) == "tcp://127.0.0.1:7"
    writer.join()


def test_a_scheduler_file_that_does_not_come(tmp_path):
    file = tmp_path / "scheduler.json"
    with dask.config.set({"daskml-exec.connect-timeout": "10ms"}):
        with pytest.raises(TimeoutError, match=r"no scheduler file .*\.json' within 0\.01"):
            Executor(str(file))
        for text in ("{", "[]", json.dumps({"id": 1})):
            file.write_text(text)
            with pytest.raises(ValueError, match=r"scheduler\.json' is no scheduler file"):
                Executor(file)


def test_tls():
    security = Security.temporary()
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, security=security, host="127.0.0.1",
        protocol="tls", dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
    ) as cluster:  # fmt: skip
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        with pytest.raises(ValueError, match=r"by TLS, and .* no certificates: give security="):
            Executor(address)
        parts = ("tls_ca_file", "tls_client_cert", "tls_client_key")
        given = {part: getattr(security, part) for part in parts}
        for argument in (security, given):
            with Executor(address, security=argument) as executor:
                assert square(executor) == 9
        with Executor(cluster) as executor:
            assert square(executor) == 9
        others = Security.temporary()
        with (
            dask.config.set({"daskml-exec.connect-timeout": "1s"}),
            pytest.raises(TimeoutError, match="has the certificates of security= and runs"),
        ):
            Executor(address, security=others)


def test_an_embedded_cluster_with_tls():
    with Executor(n_workers=1, processes=False, security=True) as executor:
        assert executor.client.scheduler.address.startswith("tls://127.0.0.1:")
        assert square(executor) == 9


def test_certificates_cannot_be_made_without_cryptography(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ImportError, match=r"pip install 'daskml-exec\[security\]'"):
        Executor(n_workers=1, processes=False, security=True)


@pytest.mark.parametrize(
    ("security", "error", "words"),
    [
        (True, ValueError, r"security=True makes certificates for an embedded cluster"),
        (7, TypeError, r"security=7 is a int; allowed are a distributed\.Security"),
        ({"ca": "x"}, TypeError, r"security=\['ca'\]"),
        (Security(require_encryption=True), ValueError, r"is not encrypted, which security="),
    ],
)
def test_wrong_security(security, error, words):
    with pytest.raises(error, match=words):
        Executor("tcp://127.0.0.1:9", security=security)


def test_a_client_has_its_own_security(client):
    with pytest.raises(ValueError, match="security given together with a Client"):
        Executor(client, security=Security())


def test_a_client_that_is_closed(cluster):
    client = Client(cluster, set_as_default=False)
    client.close()
    with pytest.raises(RuntimeError, match=r"a Client that is closed.*Executor\('tcp://"):
        Executor(client)


def test_the_active_client_has_lost_its_scheduler():
    """It tries to connect again: a fit names that, as long as it is not closed."""
    script = (
        "from distributed import LocalCluster; import sys; cluster = LocalCluster(n_workers=0,"
        "processes=False, protocol='tcp', host='127.0.0.1', dashboard_address='127.0.0.1:0');"
        "print(cluster.scheduler_address, flush=True); sys.stdin.read()"
    )
    scheduler = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with scheduler, Client(scheduler.stdout.readline().strip()) as client:
        scheduler.kill()
        while client.status == "running":
            time.sleep(0.01)
        X = np.eye(4)
        with pytest.raises(ConnectionError, match="the active Client has lost its scheduler"):
            Ridge().fit(X, X[:, 0])
        with pytest.raises(ConnectionError, match="the active Client has lost its scheduler"):
            Executor()
    assert _current.active_client() is None


def test_no_link_without_bokeh(executor, process_executor, monkeypatch):
    for ex in (executor, process_executor):
        assert "href" in ex._repr_html_()
    monkeypatch.setattr(_dashboard, "_known", {})
    monkeypatch.setitem(sys.modules, "bokeh", None)
    monkeypatch.setattr(_dashboard, "_HAS_BOKEH", "False")
    for ex in (executor, process_executor):
        assert "href" not in ex._repr_html_() and "workers" in ex._repr_html_()
