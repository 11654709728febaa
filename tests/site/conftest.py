"""The built site: $FEWSTEP_SITE (a folder of pages), or one built here at smoke scale."""

import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def site() -> Path:
    if given := os.environ.get("FEWSTEP_SITE"):
        assert (Path(given) / "index.html").exists(), f"FEWSTEP_SITE={given} holds no index.html"
        return Path(given).resolve()
    out = ROOT / "build/smoke"
    done = subprocess.run(
        [sys.executable, ROOT / "tools/build.py", "--out", out], capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return out / "_build/html"


@pytest.fixture(scope="session")
def pages(site) -> list[str]:
    """All pages but index.html, which only leads on to the title page."""
    found = {
        page.relative_to(site).as_posix()
        for page in site.rglob("*.html")
        if "_static" not in page.parts
    }
    assert {"index.html", "book/intro.html", "notebooks/quickstart.html"} <= found
    return sorted(found - {"index.html"})


@pytest.fixture(scope="session")
def served(site):
    """The site's address on this machine."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip(f"needs a browser: none of {', '.join(names)} is installed")
    # No sandbox: it does not work for root, and only our own pages are opened. The others keep
    # Chromium itself from calling home, which would look like a request of the page.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=executable, args=quiet)
        yield chromium
        chromium.close()


@pytest.fixture(params=["http", "file"])
def address(request):
    """Pages must work from a server and, downloaded, from a folder."""
    if request.param == "http":
        return request.getfixturevalue("served")
    return request.getfixturevalue("site").as_uri()
