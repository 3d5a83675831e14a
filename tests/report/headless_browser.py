"""A headless Chromium for the tests of pages, by its DevTools protocol over two pipes.

https://chromedevtools.github.io/devtools-protocol/: messages are JSON, each ended by a zero byte.
A page is a file. Every request that it makes and every violation of its policy is recorded.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, PROGRAMS)), None)
"""None without Chromium."""

_ANSWER_TIMEOUT_S = 60


class HeadlessBrowser:
    """One browser with one tab.

    Attributes:
        requests: URLs that pages asked for since they were opened, their own excepted.
        complaints: what the browser logged, such as violations of a page's policy.
    """

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        ours_out, theirs_in = os.pipe()[::-1]
        ours_in, theirs_out = os.pipe()
        command = [
            PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            "--hide-scrollbars", "--no-first-run", f"--user-data-dir={profile}",
        ]  # fmt: skip
        # The protocol's pipes are 3 and 4 in the browser.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._number, self._received = 0, b""
        self._session = ""
        self._events: list[dict] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, page: Path, width: int, *, is_dark: bool = False, is_print: bool = False):
        """Load a page in a window of that width."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if is_print else "screen",
                   features=[scheme])  # fmt: skip
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                   deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.requests.clear()
        self.complaints.clear()
        self._events.clear()
        url = page.resolve().as_uri()
        self._call("Page.navigate", url=url)
        while not any(one["method"] == "Page.loadEventFired" for one in self._events):
            self._read()
        self.evaluate("document.fonts.ready")
        for one in self._events:
            if one["method"] == "Network.requestWillBeSent":
                asked = one["params"]["request"]["url"]
                self.requests += [asked] if asked != url else []
            elif one["method"] == "Log.entryAdded":
                self.complaints.append(one["params"]["entry"]["text"])

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression on the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _call(self, method: str, **params: object) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found["error"])
                return found["result"]

    def _read(self) -> dict:
        """The next message; events are kept as well."""
        give_up_at = time.monotonic() + _ANSWER_TIMEOUT_S
        while b"\0" not in self._received:
            readable, _, _ = select.select([self._in], [], [], give_up_at - time.monotonic())
            part = os.read(self._in, 1 << 20) if readable else b""
            assert part, "the browser ended, or did not answer"
            self._received += part
        text, _, self._received = self._received.partition(b"\0")
        message: dict = json.loads(text)
        if "method" in message:
            self._events.append(message)
        return message


@contextmanager
def headless_browser() -> Iterator[HeadlessBrowser]:
    """A browser with an empty profile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = HeadlessBrowser(Path(profile))
        try:
            yield browser
        finally:
            browser.close()
