"""A headless Chromium, driven over the pipe of its DevTools protocol: no driver, no WebSocket."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conftest import BROWSERS

SECONDS = 30.0
"""To wait for anything."""

KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "End": 35, "Home": 36} | {
    f"Arrow{name}": 37 + i for i, name in enumerate(("Left", "Up", "Right", "Down"))
}


class Chromium:
    """One browser with one page.

    `problems` collects what the page logs as errors or warnings, its uncaught exceptions, what
    it could not load, and every address it asked for that is no file.
    """

    def __init__(self, profile: Path, width: int = 1280, height: int = 800) -> None:
        program = next(filter(None, map(shutil.which, BROWSERS)))
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        self.width, self.height = width, height
        # Chromium reads descriptor 3 and writes to 4. Its sandbox does not start in containers.
        flags = (
            "--headless --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run "
            "--disable-dev-shm-usage --disable-background-networking --disable-component-update "
            f"--hide-scrollbars --window-size={width},{height}"
        )
        script = f'exec 3<&{to_child} 4>&{from_child}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *flags.split(), f"--user-data-dir={profile}"],
            pass_fds=(to_child, from_child),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        self._buffer = b""
        self._count = 0
        self._session = ""
        self.problems: list[str] = []
        self.requested: list[str] = []
        self._loaded = False

    def __enter__(self) -> "Chromium":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._out)  # it ends by itself when its pipe does
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its result; events in between are noted."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 16)
            assert part, "Chromium has ended"
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(facts["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning"):
            self.problems.append(json.dumps(facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            url = facts["request"]["url"]
            self.requested.append(url)
            if not url.startswith(("file:", "data:")):
                self.problems.append(f"asked for {url}")
        elif event == "Network.loadingFailed" and not facts.get("canceled"):
            self.problems.append(f"not loaded: {facts['errorText']}")

    def open(self, page: Path) -> float:
        """Load a file; the seconds until all its results are drawn."""
        self._loaded = False
        start = time.monotonic()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not self._loaded:
            self._next()
        self.wait("!document.querySelector('.cell') || document.querySelectorAll('.cell').length")
        return time.monotonic() - start

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true."""
        end = time.monotonic() + SECONDS
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"in vain: {script}"
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """A key of the keyboard, with what it does by default."""
        facts: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def place(self, selector: str) -> dict[str, float]:
        """Where the first such element stands in the window: x, y, width, height."""
        script = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        found: dict[str, float] = self.run(script)
        return found

    def mouse(self, kind: str, x: float, y: float) -> None:
        """`mousePressed`, `mouseMoved` or `mouseReleased` with the left button."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click(self, selector: str) -> None:
        """The mouse on the middle of the first such element."""
        box = self.place(selector)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Another window, or a phone's screen with touch; light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """What is to be seen, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
