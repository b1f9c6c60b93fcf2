"""A real browser without a window: Debian's chromium, asked through chromedriver in the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import requests

from tests.waiting import eventually

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
#: Seconds for one command; a loaded machine takes long to start a browser.
PATIENCE = 120


class Browser:
    """One browser with one page, until :meth:`end`; ``folder`` takes all that it writes."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "driver.log"
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
        with self._log.open("wb") as log:
            self._driver = subprocess.Popen(
                [str(DRIVER), "--port=0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of this machine has no part in this
        self._url = ""
        try:
            self._begin(folder)
        except BaseException:
            self.end()
            raise

    def _begin(self, folder: Path) -> None:
        said = re.compile(r"started successfully on port (\d+)")
        [port] = eventually(lambda: said.findall(self._log.read_text(errors="replace")), PATIENCE, "chromedriver")
        options = {"binary": str(CHROMIUM), "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        base = f"http://127.0.0.1:{port}/session"
        self._url = base
        made = self._post("", {"capabilities": {"alwaysMatch": wanted}})
        self._url = f"{base}/{made['sessionId']}"

    def end(self) -> None:
        """Close it, and whatever of it still runs."""
        try:
            if self._url.count("/") > 3:
                self._session.delete(self._url, timeout=PATIENCE)
        finally:
            self._driver.terminate()
            self._driver.wait(30)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._session.post(self._url + path, json=body, timeout=PATIENCE).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{answer['error']}: {answer.get('message')}")
        return answer

    def open(self, url: str) -> None:
        """Load a page."""
        self._post("/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """What a JavaScript function's body returns."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call; ``kind``: ``browser`` or ``performance``."""
        found: list[dict[str, Any]] = self._post("/se/log", {"type": kind})
        return found

    def requested(self) -> list[str]:
        """The addresses that were asked for since the last look at the performance log."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]

    def tell(self, command: str, **parameters: object) -> Any:
        """One command of the DevTools protocol."""
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int = 900) -> None:
        """As if the window were so large: CSS pixels."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, scheme: str, media: str = "") -> None:
        """``light`` or ``dark``; ``media``: ``print`` or nothing."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", media=media, features=features)

    def shoot(self, path: Path, whole: bool = True) -> None:
        """A picture of the page."""
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
