"""The page that shows a large result from tiles, in a real browser, from disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_lightning.report import zoom
from nst_lightning.report.gallery import write_gallery
from tests.results_folder import flat, record, write_manifest

from .chromium import Chromium

pytestmark = pytest.mark.browser

NAME = "50% #1?"
WIDTH, HEIGHT = 2500, 1700
READY = "[...tiles.values()].every(tile => tile.ready) && tiles.size > 0 && !waiting"
RED, GREEN, BLUE, GRAY = (210, 20, 20), (20, 190, 20), (20, 20, 220), (128, 128, 128)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: Chromium) -> Iterator[Chromium]:
    """The browser; whatever a page complains of fails its test."""
    started.call("Page.navigate", url="about:blank")
    started.problems.clear()
    started.resize(1280, 800)
    yield started
    assert started.problems == []


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result of four colours, one in each quarter, with a page of its own."""
    monkeypatch.setattr(zoom, "ZOOM_FROM", 2000)
    image = Image.new("RGB", (WIDTH, HEIGHT), RED)
    image.paste(GREEN, (WIDTH // 2, 0, WIDTH, HEIGHT // 2))
    image.paste(BLUE, (0, HEIGHT // 2, WIDTH // 2, HEIGHT))
    image.paste(GRAY, (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    out = tmp_path / "out"
    (out / NAME).mkdir(parents=True)
    image.save(out / NAME / f"{NAME}.png")
    flat(tmp_path / "c.png", (10, 20, 30))
    size = {"width": WIDTH, "height": HEIGHT}
    write_manifest(out, [record(f"{NAME}/{NAME}.png", "../c.png", "../c.png", resolved=size)])
    write_gallery(out)
    return out


def page(out: Path) -> Path:
    return out / "gallery" / "zoom" / NAME / f"{NAME}.png" / "index.html"


def open_page(browser: Chromium, out: Path) -> None:
    browser.requested.clear()
    browser.open(page(out))
    browser.wait(READY)


def tiles(browser: Chromium) -> set[str]:
    return {"/".join(url.split("/")[-2:]) for url in browser.requested if url.endswith(".jpg")}


def colours(browser: Chromium, folder: Path, *points: tuple[float, float]) -> list[tuple[int, ...]]:
    """What is seen at points of the canvas, as parts of its sides."""
    browser.wait(READY)
    box = browser.place("#view")
    browser.screenshot(folder / "shot.png")
    found = []
    with Image.open(folder / "shot.png") as shot:
        for x, y in points:
            at = (round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"]))
            found.append(shot.convert("RGB").getpixel(at))
    return [pixel for pixel in found if isinstance(pixel, tuple)]


def near(found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> bool:
    return all(
        max(abs(a - b) for a, b in zip(one, other, strict=True)) < 12
        for one, other in zip(found, expected, strict=True)
    )


def wheel(browser: Chromium, x: float, y: float, delta: float) -> None:
    where: dict[str, Any] = {"x": x, "y": y, "deltaX": 0, "deltaY": delta}
    browser.call("Input.dispatchMouseEvent", type="mouseWheel", **where)


def test_the_gallery_leads_to_it_and_loads_no_large_image(browser: Chromium, out: Path):
    browser.requested.clear()
    browser.open(out / "index.html")
    browser.click(".cell")
    browser.wait("[...document.querySelectorAll('#body img')].every(i => i.naturalWidth)")
    assert not [url for url in browser.requested if url.endswith(".png") or "zoom" in url]
    link = browser.run("document.querySelector('.closer a').href")
    assert link == page(out).as_uri()
    open_page(browser, out)
    gallery = (out / "index.html").as_uri()
    assert browser.run("document.getElementById('back').href") == gallery
    result = (out / NAME / f"{NAME}.png").as_uri()
    assert browser.run("document.getElementById('file').href") == result


def test_it_loads_what_it_shows(browser: Chromium, out: Path, tmp_path: Path):
    open_page(browser, out)
    assert tiles(browser) == {"1/0-0.jpg", "1/1-0.jpg", "1/2-0.jpg", "1/0-1.jpg", "1/1-1.jpg",
                              "1/2-1.jpg", "3/0-0.jpg"}  # fmt: skip
    middle = [(0.45, 0.45), (0.55, 0.45), (0.45, 0.55), (0.55, 0.55)]
    assert near(colours(browser, tmp_path, *middle), [RED, GREEN, BLUE, GRAY])
    assert near(colours(browser, tmp_path, (0.02, 0.5)), [(247, 246, 243)]), "the page, beside it"
    browser.requested.clear()
    browser.click("#one")
    assert near(colours(browser, tmp_path, *middle), [RED, GREEN, BLUE, GRAY])
    assert browser.run("document.getElementById('share').textContent").endswith("100 %")
    assert tiles(browser) <= {f"0/{x}-{y}.jpg" for x in range(1, 4) for y in range(3)}
    # The line between the colours is where it is in the image.
    box = browser.place("#view")
    x = 0.5 + 3 / box["width"]
    assert near(colours(browser, tmp_path, (x, 0.3), (x - 6 / box["width"], 0.3)), [GREEN, RED])


def test_mouse_and_keys(browser: Chromium, out: Path, tmp_path: Path):
    open_page(browser, out)
    box = browser.place("#view")
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"]
    there = "[view.x + (%s - canvas.clientWidth / 2) / view.scale, view.scale]"
    before, small = browser.run(there % (x - box["x"]))
    wheel(browser, x, y, -400)
    browser.wait(f"view.scale > {2 * small}")
    after, _ = browser.run(there % (x - box["x"]))
    assert after == pytest.approx(before, abs=1), "what is under the pointer stays there"
    browser.mouse("mousePressed", x, y)
    browser.mouse("mouseMoved", x + 100, y)
    browser.mouse("mouseReleased", x + 100, y)
    browser.mouse("mouseMoved", x - 300, y)
    moved, scale = browser.run(there % (x - box["x"]))
    assert moved == pytest.approx(after - 100 / scale, abs=1)
    left = browser.run("view.x")
    browser.press("ArrowRight")
    assert browser.run("view.x") > left
    browser.press("Home")
    assert browser.run("view.scale") == pytest.approx(small)
    for _ in range(12):
        browser.click("#in")
    assert browser.run("view.scale") == 16
    browser.run("move(-99, 1e9, view.scale)")
    assert near(colours(browser, tmp_path, (0.51, 0.49)), [BLUE])
    assert browser.run("[view.x, view.y]") == [0, HEIGHT]
    for _ in range(20):
        browser.click("#out")
    assert browser.run("view.scale") == pytest.approx(small)


def test_two_fingers_on_a_phone(browser: Chromium, out: Path):
    browser.resize(390, 844, phone=True, dark=True)
    open_page(browser, out)
    assert browser.run("view.scale") == pytest.approx(390 / WIDTH)
    assert browser.run("canvas.width") == 780, "each pixel of the screen"

    def fingers(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    fingers("touchStart", (150, 500))
    fingers("touchStart", (150, 500), (250, 500))
    fingers("touchMove", (100, 500), (250, 500))
    fingers("touchMove", (100, 500), (300, 500))
    fingers("touchEnd")
    browser.wait(f"view.scale > {1.9 * 390 / WIDTH}")
    assert browser.run("view.scale") == pytest.approx(2 * 390 / WIDTH, rel=0.05)
    assert browser.run("document.documentElement.scrollWidth") == 390


def test_a_window_of_another_size_still_shows_the_whole(browser: Chromium, out: Path):
    open_page(browser, out)
    browser.resize(700, 500)
    browser.wait("view.scale === whole() && canvas.width === 700")
    browser.click("#one")
    browser.resize(900, 600)
    browser.wait("canvas.width === 900")
    assert browser.run("view.scale") == 1


def test_a_tile_that_is_missing_is_said(started: Chromium, out: Path):
    (page(out).parent / "1" / "1-1.jpg").unlink()
    started.open(page(out))
    started.wait("!document.getElementById('note').hidden")
    said = started.run("document.getElementById('note').textContent")
    assert said == "1/1-1.jpg cannot be shown; run nst-batch report again."
