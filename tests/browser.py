"""Chromium without a window, driven through its debugging pipe: real pointers and keys, and what a page shows then."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PATIENCE = 60  # seconds, on a machine that does much else


class Browser:
    """One page of a browser.

    Args:
        profile: an empty folder.
    """

    def __init__(self, profile: Path) -> None:
        to_browser, self._to_browser = os.pipe()
        self._from_browser, from_browser = os.pipe()
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'  # Chromium reads 3 and writes 4
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *options, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._received, self._number, self._session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        os.close(self._to_browser)
        os.close(self._from_browser)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What a method of the protocol returns."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            assert "exceptionDetails" not in answer.get("params", {}), answer
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, page: Path, fragment: str = "", width: int = 1280, dark: bool = False) -> None:
        """Open a page anew, and wait until it is ready."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=1400, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url="about:blank")
        self.call("Runtime.enable")
        self.call("Page.navigate", url=f"{page.as_uri()}{fragment}")
        deadline = time.monotonic() + _PATIENCE
        while self.evaluate("document.body?.dataset.ready ?? ''") != "yes":
            assert time.monotonic() < deadline, "the page did not become ready"
            time.sleep(0.05)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of an element, as it is shown."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def middle(self, element: str) -> tuple[float, float]:
        """The middle of an element, which an expression gives, scrolled into view."""
        box = f"(one => {{ one.scrollIntoView({{block: 'center'}}); return one.getBoundingClientRect() }})({element})"
        return tuple(self.evaluate(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({box})"))

    def pointer(self, kind: str, x: float, y: float, pressed: bool = False) -> None:
        """A pointer that is ``Moved``, ``Pressed`` or ``Released`` at a place of the window."""
        button = "left" if pressed or kind != "Moved" else "none"
        self.call(
            "Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, button=button, buttons=int(pressed), clickCount=1
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the pointer's button at one place and release it at another."""
        self.pointer("Moved", *start)
        self.pointer("Pressed", *start, pressed=True)
        self.pointer("Moved", *end, pressed=True)
        self.pointer("Released", *end)

    def key(self, name: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from_browser], [], [], _PATIENCE)
            assert ready, "the browser did not answer"
            part = os.read(self._from_browser, 2**16)
            assert part, "the browser has ended"
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)
