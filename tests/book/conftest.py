"""The built book, a loopback server for it, and a headless chromium spoken to over its own debugging protocol."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--allow-file-access-from-files"),
    # Names other than loopback lead nowhere, so that a page that needs another machine cannot pass by luck.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


def built_book() -> Path:
    """The folder of built pages: book/_build/html, or what REIDLAB_HTML names."""
    return Path(os.environ.get("REIDLAB_HTML") or ROOT / "book" / "_build" / "html")


def built_pages() -> list[str]:
    """Pages of the built book, without the ones Sphinx makes up; empty where the book is not built."""
    made_up = {"genindex.html", "search.html", "index.html"}
    folder = built_book()
    names = (str(path.relative_to(folder)) for path in sorted(folder.rglob("*.html")))
    return [name for name in names if name not in made_up and not name.startswith("_")]


def pytest_generate_tests(metafunc):
    """Run a test that takes a page's ``name`` once for every built page."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", built_pages() or ["intro.html"])


@pytest.fixture(scope="session")
def book() -> Path:
    folder = built_book()
    if not (folder / "index.html").is_file():
        pytest.skip(f"the book is not built: no {folder.name}/index.html; run `make book` first")
    return folder


@pytest.fixture(scope="session")
def served(book):
    """The built book's address on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=book))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Page:
    """What one visit showed: requests that left the machine, complaints, and a way to ask the page."""

    def __init__(self, browser, width, height, scheme):
        self._browser = browser
        self.requests: list[str] = []
        self.failed: list[str] = []
        self.complaints: list[str] = []
        phone = width < 600
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def hear(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Network.webSocketCreated", "Network.webTransportCreated"):
            self.requests.append(params["url"])
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.failed.append(f"{params.get('type')}: {params.get('errorText')}")
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.failed.append(f"{params['response']['status']} {params['response']['url']}")
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def ask(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        answer = self._browser.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def outside(self, folder):
        """Requests to anywhere but the files of a folder and the loopback server that shows them."""
        own = (f"{folder.resolve().as_uri()}/", "data:", "blob:", "about:blank", "http://127.0.0.1:")
        return [url for url in self.requests if not url.startswith(own)]


class Browser:
    """A chromium of our own: fresh profile, one tab, ended by its process."""

    def __init__(self, executable, profile):
        websocket = pytest.importorskip("websocket", reason="needs the websocket-client package")
        self._process = subprocess.Popen(
            [executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = self._port(profile / "DevToolsActivePort")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                tab = next(target for target in json.load(answer) if target["type"] == "page")
            self._socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=30)
        except BaseException:
            self.close()
            raise
        self._number = 0
        self._page = None
        self._loaded = False
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _port(self, file):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if file.is_file() and (text := file.read_text()).count("\n") >= 1:
                return int(text.split("\n")[0])
            if self._process.poll() is not None:
                pytest.fail(f"chromium ended at once with exit status {self._process.returncode}")
            time.sleep(0.1)
        pytest.fail(f"chromium opened no debugging port within {START_SECONDS} s")

    def call(self, method, **params):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while (message := self._receive()).get("id") != self._number:
            pass
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def _receive(self):
        message = json.loads(self._socket.recv())
        if "method" in message:
            if message["method"] == "Page.loadEventFired":
                self._loaded = True
            if self._page is not None:
                self._page.hear(message["method"], message["params"])
        return message

    def open(self, url, width=1600, height=1000, scheme="light"):
        """Visit a page and wait until it is loaded, its formulas are set and its pictures decoded."""
        self._page = None
        self.call("Page.navigate", url="about:blank")
        page = Page(self, width, height, scheme)
        self._page, self._loaded = page, False
        answer = self.call("Page.navigate", url=url)
        assert not answer.get("errorText"), f"{url}: {answer['errorText']}"
        while not self._loaded:
            self._receive()
        page.ask("globalThis.MathJax?.startup?.promise?.then(() => true) ?? true")
        page.ask(
            "Promise.allSettled([...document.images].map(i => (i.loading = 'eager', i.decode()))).then(() => true)"
        )
        return page

    def close(self):
        if hasattr(self, "_socket"):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no chromium on this machine; `apt-get install $(grep -v '#' apt.txt)` brings it")
    browser = Browser(executable, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
