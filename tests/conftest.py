"""Options of the whole suite, a home of its own, and a guard: no test connects to another machine or listens to one."""

import gc
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from reidlab.lab.notebook import ADDRESS_GRAMMAR
from reidlab.paths import compiled_dir

ROOT = Path(__file__).resolve().parents[1]
_PLACE = "REIDLAB_TESTS_PLACE"
# What tests start, such as pip, asks a proxy that is not there.
_NO_PROXY = {
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "no_proxy": "localhost,127.0.0.1,::1",
}
# They come first, so that no worker is left alone with one.
_LONGEST = (
    "video/test_linking.py", "lab/test_kills.py", "lab/test_runner.py", "tools/test_learn_kills.py",
    "video/test_networks.py", "baseline/test_studies.py", "pseudolabel/test_studies.py", "lab/test_book.py",
)  # fmt: skip
_outside: list[str] = []


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=1, metavar="N", help="how often each command of test_kills is killed")
    parser.addoption("--package-index", action="store_true", help="also run the tests that ask a package index")


def pytest_configure(config):
    """Home, settings and temporary files lie in a folder that goes with the session; caches stay in the checkout."""
    if _PLACE not in os.environ:
        config.reidlab_place = os.environ[_PLACE] = tempfile.mkdtemp(prefix="reidlab-tests-")
        place, cache = Path(os.environ[_PLACE]), ROOT / ".pytest_cache"
        for name in ("home", "tmp"):
            (place / name).mkdir()
        if compiled := compiled_dir():  # the user's own: `make env` has compiled the loops there
            os.environ["NUMBA_CACHE_DIR"] = str(compiled)
        for name in [name for name in os.environ if name.startswith(("XDG_", "JUPYTER_", "IPYTHON"))]:
            del os.environ[name]
        os.environ |= {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
        os.environ |= {"XDG_CACHE_HOME": str(cache), "MPLCONFIGDIR": str(cache / "matplotlib")}
        tempfile.tempdir = None
        if not config.getoption("--package-index"):
            os.environ |= _NO_PROXY | {name.upper(): value for name, value in _NO_PROXY.items()}
    # Collecting the tests makes many objects and hardly any cycles: searching for those takes a sixth of its time.
    config.reidlab_gc = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    # Nothing here asks for it, and every worker would build it.
    sys.modules.setdefault(ADDRESS_GRAMMAR, None)
    sys.addaudithook(_watch)


def pytest_unconfigure(config):
    if place := getattr(config, "reidlab_place", None):
        shutil.rmtree(place, ignore_errors=True)


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--package-index"):
        skip = pytest.mark.skip(reason="asks a package index: run with --package-index")
        for item in items:
            if item.get_closest_marker("environment"):
                item.add_marker(skip)
    places = {ROOT / "tests" / name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish(session):
    """The suite's own processes keep all cores busy: worlds are drawn where they are asked for, whatever their size."""
    gc.freeze()
    gc.set_threshold(*session.config.reidlab_gc)
    if writing := sys.modules.get("reidlab.world.writing"):
        writing._WORTH_A_POOL = float("inf")
    if opencv := sys.modules.get("cv2"):
        opencv.setNumThreads(1)


@pytest.fixture(scope="module")
def coarse_worlds(tmp_path_factory):
    """A cache of worlds for a module alone, whose backgrounds, which nobody looks at there, take one ray a pixel."""
    from reidlab.world import background

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(background, "SUPERSAMPLING", 1)
        background.background_of.cache_clear()
        yield
    background.background_of.cache_clear()


@pytest.fixture(autouse=True)
def _stays_on_this_machine():
    before = len(_outside)
    yield
    assert _outside[before:] == [], "connections to other machines, or open to them"


def _watch(event, args):
    """Refuse to connect to, or to listen to, more than this machine; an address in a socket's own family passes."""
    if event in ("socket.connect", "socket.bind"):
        if args[0].family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(args[1][0]):
            _refuse(event, args[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and args[0] and not _is_loopback(args[0]):
        _refuse(event, args[0])


def _refuse(event, address):
    _outside.append(f"{event}: {address!r}")
    raise ConnectionRefusedError(f"a test may not do this: {event} {address!r}")


def _is_loopback(host):
    host = os.fsdecode(host)
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in ("localhost", socket.gethostname())
