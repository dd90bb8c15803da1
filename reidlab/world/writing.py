"""Writing pictures with all cores at work."""

from __future__ import annotations

import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from reidlab.checks import check_integer
from reidlab.files import clear_left_overs, temporary_folder
from reidlab.world.scene import Scene

_JPEG_QUALITY = 95  # the camera's own compression is in the picture already
_WORTH_A_POOL = 300  # pictures below which starting other processes takes longer than drawing

Unit = TypeVar("Unit")
Result = TypeVar("Result")


def spread(
    scene: Scene,
    work: Callable[[Scene, Path, Unit], Result],
    folder: Path,
    units: Sequence[Unit],
    *,
    pictures: int,
    workers: int | None = None,
    quiet: bool = False,
    title: str = "world",
) -> list[Result]:
    """Call ``work(scene, folder, unit)`` for every unit, on several processes if that is faster.

    Args:
        scene: the scene; other processes get a copy.
        work: a function of a module, whose result depends on its arguments alone.
        folder: where it writes.
        units: what it is called with.
        pictures: about how many pictures all units draw together.
        workers: number of processes; None takes one per core.
        quiet: whether to leave out the progress bar, which otherwise shows up after a second.
        title: what the bar says.

    Returns:
        The results, in the order of ``units``.

    Raises:
        ConfigError: ``workers`` is below 1.
    """
    from tqdm import tqdm

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers is not None:
        check_integer("workers", workers, 1, what="or None for one per core")
    # On request even a small job is shared out; by default only one that gains from it.
    count = min(workers if workers is not None else cores if pictures >= _WORTH_A_POOL else 1, max(1, len(units)))
    results: list[Result] = []
    with tqdm(total=len(units), desc=title, disable=quiet, delay=1.0, leave=False) as bar:
        if count == 1:
            for unit in units:
                results.append(work(scene, folder, unit))
                bar.update()
            return results
        clear_left_overs()
        # What is pickled lies in a folder that only this user may enter, and only while it is needed.
        with temporary_folder() as shelf, _processes(count) as submit:
            (shelf / "scene.pickle").write_bytes(pickle.dumps(scene))
            # Painting a background takes longer than a hundred pictures before it: it is done once per camera.
            for shelved in [submit(_shelve_renderer, shelf, camera.camid) for camera in scene.cameras]:
                shelved.result()
            size = max(1, min(64, len(units) // (6 * count)))
            batches = [units[i : i + size] for i in range(0, len(units), size)]
            for batch, done in zip(batches, [submit(_work_off, shelf, work, folder, batch) for batch in batches]):
                results.extend(done.result())
                bar.update(len(batch))
    return results


@contextmanager
def _processes(count: int) -> Iterator[Callable[..., Future]]:
    """Yield a function that hands work to other processes; they end with this one, and at once if the block fails."""
    # They start afresh like "spawn", but never run the caller's script again.
    from joblib.externals.loky import get_reusable_executor

    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
    with warnings.catch_warnings():
        # A worker keeps bodies and clothes; loky takes that for a leak and says so when it starts a fresh one.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        given = os.environ.get("PYTHONWARNINGS", "")
        # Loky's process that clears up after interrupted ones warns of each thing that it clears.
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [given, "ignore:resource_tracker"]))
        try:
            executor = get_reusable_executor(count, env=threads, initializer=_end_with, initargs=(os.getpid(),))
        finally:
            os.environ["PYTHONWARNINGS"] = given
        try:
            yield executor.submit
        except BaseException:
            # Loky's own thread no longer finds the work that waits, and would say so in a traceback.
            before, threading.excepthook = threading.excepthook, lambda _: None
            try:
                executor.shutdown(wait=True, kill_workers=True)
            finally:
                threading.excepthook = before
            raise


def _end_with(parent: int) -> None:
    """End this worker as soon as the process that started it is gone, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _shelve_renderer(shelf: Path, camid: int) -> None:
    scene = pickle.loads((shelf / "scene.pickle").read_bytes())
    (shelf / f"{camid}.pickle").write_bytes(pickle.dumps(scene.renderer(camid)))


def _work_off(shelf: Path, work: Callable[..., Any], folder: Path, units: Sequence[Any]) -> list[Any]:
    scene = _load_scene(shelf)
    return [work(scene, folder, unit) for unit in units]


@lru_cache(maxsize=1)
def _load_scene(shelf: Path) -> Scene:
    import cv2

    cv2.setNumThreads(1)
    scene: Scene = pickle.loads((shelf / "scene.pickle").read_bytes())
    for camera in scene.cameras:
        scene.renderers[camera.camid] = pickle.loads((shelf / f"{camera.camid}.pickle").read_bytes())
    return scene


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write an RGB picture (H, W, 3) uint8 as a JPEG file; its folder is made if it is missing."""
    import cv2

    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())
