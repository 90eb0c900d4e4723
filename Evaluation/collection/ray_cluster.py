"""Ray as this project uses it: a cluster joined or begun here, its machines shared out, its errors told."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs import Settings
from Evaluation.collection.table import Head
from Evaluation.processes import threads_each
from utils.cli import say
from utils.errors import UserError

# Bytes of images in one piece of a data set.
BLOCK_BYTES = 32 << 20
# Memory that processes share in a cluster that is begun on this machine.
STORE_BYTES = 1 << 30


def import_ray() -> Any:
    """The module.

    Raises:
        UserError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("--engine ray needs Ray: 'pip install \"ray[data]\"'.") from None
    return ray


def connect(ray: Any) -> None:
    """Join the cluster of RAY_ADDRESS, or begin one on this machine; without its talk."""
    # Workers import what this process does from where it does.
    root = Path(__file__).resolve().parents[__name__.count(".")]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    address = os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        shared = Path("/dev/shm")
        free = shutil.disk_usage(shared if shared.is_dir() else Path.home()).free
        store = max(100 << 20, min(STORE_BYTES, free // 2))
        options = {"num_cpus": threads_each(1), "include_dashboard": False, "object_store_memory": store}
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths)}}
    options |= {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with _without_talk():
            ray.init(address, runtime_env=environment, **options)
    except (ConnectionError, ValueError) as error:
        lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
        reason = lines[-1].partition(". ")[0] if lines else "no reason is known"
        raise UserError(f"RAY_ADDRESS={address}: the cluster cannot be joined ({reason}).") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    context.use_datasource_v2 = False  # whose threads stumble over each other where fsspec has no aiohttp


@contextlib.contextmanager
def _without_talk() -> Iterator[None]:
    """What libraries write to standard error by themselves goes nowhere."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def share(ray: Any, settings: Settings, head: Head, attempts: Any) -> dict[str, Any]:
    """How many workers there are, and what each has of the machines.

    Raises:
        UserError: a GPU is asked for, and there is none.
    """
    there = ray.cluster_resources()
    cores, gpus = there.get("CPU", 1), int(there.get("GPU", 0))
    device = settings.device if gpus or settings.device != "auto" else "cpu"
    on_gpu = device.startswith(("auto", "cuda"))
    if on_gpu and not gpus:
        raise UserError(f"Device '{device}' is not there; 'auto' or 'cpu' always works.")
    jobs = min(settings.jobs, gpus) if on_gpu else settings.jobs
    if jobs < settings.jobs:
        say(f"There are {gpus} GPU(s), one a worker: {jobs} worker(s).")
    largest = max(node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"])
    own = dataclasses.replace(settings, jobs=1, device="cuda" if on_gpu else device)
    threads = max(1, int(min(cores // jobs, largest)))
    return {
        "concurrency": jobs,
        "num_cpus": min(cores / jobs, largest) * 0.8,  # the rest is for tasks that read
        "num_gpus": int(on_gpu),
        "fn_constructor_args": (own, head, threads, str(Path.cwd()), attempts),
    }


def told(ray: Any, error: BaseException) -> BaseException:
    """What a user can mend of what ended the work, in one sentence; else the error as it is."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    if isinstance(cause, UserError):
        return UserError(str(cause))
    if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(cause, OSError | ValueError):
        return error
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
    return UserError(f"{reason}; the rows that are written are kept, and the same command goes on.")
