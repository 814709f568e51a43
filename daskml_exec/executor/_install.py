"""Bring this package to workers that lack it, with the plugins that Dask has for it.

The scheduler keeps the plugins, so that workers which join later are served, too. Nothing of this
package can be imported where they run: they are Dask's own classes, and text for `exec`.
"""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from distributed import Client
from distributed.diagnostics.plugin import PipInstall, UploadDirectory, UploadFile

from daskml_exec.executor._environment import PACKAGE, installed, scheduler_environment
from daskml_exec.executor._workers_now import workers_now

_NAME = "daskml_exec"
_SCHEDULER_SOURCE = """
import atexit, importlib, io, shutil, sys, tempfile, zipfile
folder = tempfile.mkdtemp(prefix="daskml-exec-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
sys.path.insert(0, folder)
importlib.invalidate_caches()
"""


def install(client: Client, how: str, packages: Sequence[str]) -> None:
    """Do what `Executor.install_on_workers` says, after a look at its arguments."""
    if how not in ("upload", "pip"):
        raise ValueError(f"how={how!r}; allowed are 'upload' and 'pip'")
    if packages and how == "upload":
        raise ValueError(f"packages={packages!r} given with how='upload'; they are for 'pip'")
    if how == "upload":
        upload(client)
    else:
        pip_install(client, packages)


def upload(client: Client) -> None:
    """Send this process's copy of the package to the scheduler and to all workers.

    Workers under a Nanny are restarted with it. Where some have none, it is imported from an
    archive instead, which does not replace a version that was imported already.
    """
    with _copy() as folder:
        if not scheduler_environment(client)["found"]:
            client.run_on_scheduler(exec, _SCHEDULER_SOURCE, {"archive": _archive(folder)})
        if _nannies_everywhere(client):
            client.register_plugin(
                UploadDirectory(str(folder), restart_workers=True, update_path=True)
            )
        else:
            file = folder.parent / f"{_NAME}.zip"
            file.write_bytes(_archive(folder))
            client.register_plugin(UploadFile(str(file)), name=f"upload-{_NAME}")


def pip_install(client: Client, packages: Sequence[str]) -> None:
    """Let the scheduler and all workers run ``pip install``; by default this very release."""
    version = installed(PACKAGE)
    given = list(packages) or [f"{PACKAGE}=={version}" if version else PACKAGE]
    client.register_plugin(PipInstall(given, restart_workers=_nannies_everywhere(client)))


def _nannies_everywhere(client: Client) -> bool:
    workers = workers_now(client)
    return all(worker.get("nanny") for worker in workers.values())


@contextmanager
def _copy() -> Iterator[Path]:
    """Give a folder with the package and what says its version, and with nothing else."""
    with tempfile.TemporaryDirectory(prefix="daskml-exec-") as temporary:
        folder = Path(temporary) / f"{_NAME}_upload"
        with resources.as_file(resources.files(_NAME)) as package:
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(package, folder / _NAME, ignore=ignored)
        version = installed(PACKAGE)
        if version:
            metadata = folder / f"{_NAME}-{version}.dist-info" / "METADATA"
            metadata.parent.mkdir()
            metadata.write_text(
                f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {version}\n", "utf-8"
            )
        yield folder


def _archive(folder: Path) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return target.getvalue()
