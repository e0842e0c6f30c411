"""The gallery in a real browser, from disk: it draws, sorts, opens, and complains of nothing.

Keys and the mouse are the browser's own events, not calls of the page's functions.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from nst_lightning.report.gallery import write_gallery
from tests.clips import make_film, pan
from tests.results_folder import change, flat, make_grid, record, write_manifest

from .chromium import Chromium

pytestmark = pytest.mark.browser

NAMES = "[...document.querySelectorAll('.list .what')].map(e => e.textContent)"
OPEN = "document.getElementById('box').open"
TITLE = "document.getElementById('what').firstChild.textContent"
AT = "document.querySelector('.stage').style.getPropertyValue('--at')"
FOCUS = "document.activeElement.querySelector?.('img')?.alt ?? document.activeElement.id"
LOADED = "[...document.querySelectorAll('#body img')].every(i => i.complete && i.naturalWidth)"
BROKEN = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"


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
    assert not started.run(BROKEN), "images that are not there"
    assert started.problems == []


ODD = ["50% #1?", 'it\'s "two" & <b>', "日本 ü", "plain"]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """4 × 3 results with odd names; one failed, one with all files beside it."""
    out = make_grid(tmp_path, ODD, ["a", "b</script>".replace("/", "∕"), "c"])
    change(out, "plain/a.png", status="failed", reason="the sky fell", losses={})
    beside = out / "plain" / "c"
    flat(beside / "curves.png", (1, 2, 3))
    flat(beside / "step-0010.png", (1, 2, 3))
    (beside / "history.csv").write_text("step\n")
    (out / "plain" / "c.yaml").write_text("steps: 1\n")
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(beside / "progress.gif", save_all=True, append_images=frames[1:])
    return write_gallery(out)[0]


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """3 style weights × 2 starts × 2 contents; seven settings in all."""
    records = []
    for content in ("cat", "dog"):
        flat(tmp_path / f"{content}.png", (200, 100, 0))
        for weight in ("20", "1e5", "1e6"):
            for init in ("noise", "content"):
                output = f"{weight}-{init}/{content}/s.png"
                flat(tmp_path / "out" / output, (0, 100, 200))
                case = {"style_weight": weight, "init": init}
                settings = {"style_weight": float(weight), "init": init, "seed": 0}
                made = record(output, f"../{content}.png", "../s.png", case=case, settings=settings)
                records.append(made)
    flat(tmp_path / "s.png", (0, 200, 0))
    write_manifest(tmp_path / "out", records)
    return write_gallery(tmp_path / "out")[0]


def test_the_grid_is_a_table_with_sticky_headers(browser: Chromium, grid: Path) -> None:
    browser.resize(330, 300)
    browser.open(grid)
    heads = "[...document.querySelectorAll('thead th')].slice(1).map(e => e.textContent)"
    assert browser.run(heads) == ["a", "b<∕script>", "c"]
    rows = "[...document.querySelectorAll('tbody th')].map(e => e.textContent)"
    assert sorted(browser.run(rows)) == sorted(ODD)
    cells = "[...document.querySelectorAll('td .cell')].map(e => e.querySelector('img')?.alt)"
    assert len(browser.run(cells)) == 12
    failed = "document.querySelector('.cell.bad').textContent"
    assert browser.run(failed) == "failedthe sky fell"
    lazy = "[...document.querySelectorAll('.cell img')].every(i => i.loading === 'lazy' && i.width)"
    assert browser.run(lazy) is True
    before = browser.place("thead th:nth-child(2)"), browser.place("tbody th")
    browser.run("document.getElementById('area').scrollTo(40, 150)")
    after = browser.place("thead th:nth-child(2)"), browser.place("tbody th")
    assert after[0]["y"] == before[0]["y"]
    assert after[0]["x"] < before[0]["x"]
    assert after[1]["x"] == before[1]["x"]
    assert after[1]["y"] < before[1]["y"]
    for image in ("gallery/thumbs", "gallery/results"):
        browser.wait(f"[...document.images].some(i => i.src.includes('{image}') && i.complete)")


def test_the_list_sorts_by_any_number(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click("#as-list")
    names = browser.run(NAMES)
    assert len(names) == 12
    totals = "[...document.querySelectorAll('.list td:nth-child(3)')].map(e => e.textContent)"
    for selector in ("[data-sort='loss:total']", "[data-sort='loss:style']"):
        browser.click(selector)
        values = [float(text) for text in browser.run(totals) if text != "the sky fell"]
        assert values == sorted(values)
        assert len(values) == 11
        browser.press("Enter")  # the heading keeps the focus, and turns the order round
        values = [float(text) for text in browser.run(totals) if text != "the sky fell"]
        assert values == sorted(values, reverse=True)
        assert browser.run(NAMES)[-1] == "plain × a", "what failed has no loss and comes last"
    browser.click("[data-sort=seconds]")
    seconds = "[...document.querySelectorAll('.list [data-label=seconds]')].map(e => +e.innerText)"
    assert browser.run(seconds) == sorted(browser.run(seconds))
    browser.click("[data-sort=name]")
    assert browser.run(NAMES) == names


def test_what_evaluate_measured_can_be_sorted_and_read(browser: Chromium, grid: Path) -> None:
    head = "style_gram,style_gram_relu1_1,lpips,ssim,total_variation,output,finished"
    lines = [f"0.{9 - i},0.7{i},{i or ''},{i - 5},0.33,{ODD[3]}/{s},"
             for i, s in enumerate(["b<∕script>.png", "c.png"])]  # fmt: skip
    (grid.parent / "evaluation.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    write_gallery(grid.parent)
    browser.open(grid)
    browser.click("#as-list")
    browser.click("[data-sort='metric:style_gram']")
    assert browser.run(NAMES)[:2] == ["plain × c", "plain × b<∕script>"]
    browser.press("Enter")
    assert browser.run(NAMES)[:2] == ["plain × b<∕script>", "plain × c"], "others have no number"
    values = "[...document.querySelectorAll('.list tr')].slice(1, 4).map(r => [...r.children]"
    shown = browser.run(f"{values}.filter(d => d.dataset.label).map(d => d.textContent))")
    assert [row[4:7] for row in shown] == [["0.9", "–", "-5"], ["0.8", "1", "-4"], ["–"] * 3]
    heads = browser.run("[...document.querySelectorAll('.list th')].map(e => e.textContent)")
    assert heads[-4:] == ["Gram ↓", "LPIPS", "SSIM", "seconds"], "variation is in the facts alone"
    area = "document.getElementById('area')"
    assert browser.run(f"{area}.scrollWidth <= {area}.clientWidth") is True
    browser.click(".list .cell")
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = browser.run("document.getElementById('body').innerText").split()
    for words in (["Gram", "0.9"], ["variation", "0.33"], ["relu1_1", "0.7"]):
        assert any(text[i : i + 2] == words for i in range(len(text))), words
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert "Quality" not in browser.run("document.getElementById('body').innerText")


def test_the_keyboard_is_enough(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    for _ in range(12):
        browser.press("Tab")
        if browser.run("document.activeElement.matches('.cell')"):
            break
    first = browser.run(FOCUS)
    browser.press("ArrowDown")
    browser.press("ArrowRight")
    second = browser.run(FOCUS)
    assert first != second
    assert "b<" in second
    browser.press("Enter")
    assert browser.run(OPEN) is True
    assert browser.run(TITLE) == second
    browser.press("ArrowRight")
    third = browser.run(TITLE)
    assert third.split(" × ") == [second.split(" × ")[0], "c"]
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    browser.press("ArrowRight")
    assert browser.run(TITLE) == second
    browser.run("document.getElementById('wipe').focus()")
    assert browser.run(AT) == "0%"
    browser.press("ArrowRight")
    assert browser.run(AT) == "1%", "there the arrow keys move the slider"
    assert browser.run(TITLE) == second
    browser.press("End")
    assert browser.run(AT) == "100%"
    browser.run("document.getElementById('what').focus()")
    browser.press("ArrowRight")
    assert browser.run(AT) == "100%", "it stays from one result to the next"
    browser.press("Escape")
    assert browser.run(OPEN) is False
    # The focus goes to the result that was open last, in the page's answer to the closing.
    browser.wait(f"({FOCUS}) === {json.dumps(third)}")


def test_the_ends_of_the_order(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click(".cell")
    assert browser.run("document.getElementById('previous').disabled") is True
    title = browser.run(TITLE)
    browser.press("ArrowLeft")
    assert browser.run(TITLE) == title
    for _ in range(11):
        browser.click("#next")
    assert browser.run("document.getElementById('next').disabled") is True
    last = browser.run(TITLE)
    browser.press("ArrowRight")
    assert browser.run(TITLE) == last
    browser.press("ArrowLeft")
    assert browser.run(TITLE) != last, "the keys work after the pressed button was disabled"
    browser.click("#close")
    assert browser.run(OPEN) is False


def test_the_pointer_moves_the_slider(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click(".cell")
    browser.wait("[...document.querySelectorAll('.stage img')].every(i => i.naturalWidth)")
    box = browser.place(".stage")
    y = box["y"] + box["height"] / 2
    browser.mouse("mousePressed", box["x"] + 0.25 * box["width"], y)
    assert float(browser.run(AT)[:-1]) == pytest.approx(25, abs=1)
    browser.mouse("mouseMoved", box["x"] + 0.75 * box["width"], y)
    assert float(browser.run(AT)[:-1]) == pytest.approx(75, abs=1)
    browser.mouse("mouseReleased", box["x"] + 0.75 * box["width"], y)
    browser.mouse("mouseMoved", box["x"] + 0.5 * box["width"], y)
    assert float(browser.run(AT)[:-1]) == pytest.approx(75, abs=1)
    assert browser.run("document.getElementById('wipe').value") == "75"


def colour_at(browser: Chromium, folder: Path, x: float, y: float) -> tuple[int, ...]:
    browser.screenshot(folder / "shot.png")
    with Image.open(folder / "shot.png") as image:
        pixel = image.convert("RGB").getpixel((round(x), round(y)))
    assert isinstance(pixel, tuple)
    return pixel


def test_content_lies_left_of_the_slider_and_the_result_right(
    browser: Chromium, grid: Path, tmp_path: Path
) -> None:
    browser.open(grid)
    browser.click(".cell")
    browser.wait("[...document.querySelectorAll('.stage img')].every(i => i.naturalWidth)")
    box = browser.place(".stage")
    browser.mouse("mousePressed", box["x"] + box["width"] / 2, box["y"] + 9)
    browser.mouse("mouseReleased", box["x"] + box["width"] / 2, box["y"] + 9)
    left = colour_at(browser, tmp_path, box["x"] + 9, box["y"] + 9)
    right = colour_at(browser, tmp_path, box["x"] + box["width"] - 9, box["y"] + 9)
    assert left[0] > 200 > 60 > left[2], "the content is red"
    assert right[2] > 200 > 100 > right[0], "the result is blue"


def test_a_result_shows_all_that_is_known_of_it(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.run("[...document.querySelectorAll('.cell')].at(-1).click()")
    found = browser.run(TITLE)
    while found != "plain × c":
        browser.press("ArrowLeft")
        found = browser.run(TITLE)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = browser.run("document.getElementById('body').innerText")
    for words in (
        "Losses",
        "unweighted",
        "64 × 48 px",
        "style_weight",
        "Curves",
        "Film",
        "step 10",
    ):
        assert words in text, words
    browser.wait(LOADED)
    links = browser.run("[...document.querySelectorAll('#body a')].map(a => a.href)")
    paths = {link.removeprefix(grid.parent.parent.as_uri()) for link in links}
    assert paths == {
        "/photos/plain.png", "/paintings/c.png", "/out/plain/c.png", "/out/plain/c.yaml",
        "/out/plain/c/history.csv", "/out/plain/c/step-0010.png",
    }  # fmt: skip


def test_odd_names_lead_to_their_files(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click(".cell")
    for _ in range(12):
        if browser.run("!document.querySelector('.note')"):
            browser.wait(LOADED.replace("#body img", ".stage img, .sources img"))
        browser.press("ArrowRight")


def test_what_failed_says_why(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click(".cell.bad")
    assert "the sky fell" in browser.run("document.querySelector('.note').textContent")
    assert browser.run("document.querySelectorAll('.stage').length") == 0


def choose(browser: Chromium, selector: str, text: str) -> None:
    browser.run(
        f"(() => {{ const s = document.querySelector({selector!r});"
        f"s.value = [...s.options].find(o => o.text === {text!r}).value;"
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def heads(browser: Chromium) -> tuple[list[str], list[str]]:
    rows = browser.run("[...document.querySelectorAll('tbody th')].map(e => e.textContent)")
    across = "[...document.querySelectorAll('thead th')].slice(1).map(e => e.textContent)"
    return rows, browser.run(across)


def test_a_sweep_is_laid_out_by_its_axes(browser: Chromium, swept: Path) -> None:
    browser.open(swept)
    assert heads(browser) == (["20", "1e5", "1e6"], ["content", "noise"])
    count = "document.getElementById('count').textContent"
    assert browser.run(count) == "6 of 12 results", "of one content"
    choose(browser, ".filter select", "dog")
    alts = "[...document.querySelectorAll('.cell img')].map(i => i.alt)"
    assert all(alt.startswith("dog × s: style_weight ") for alt in browser.run(alts))
    choose(browser, ".filter select", "all")
    assert browser.run("document.querySelectorAll('td')[0].querySelectorAll('.cell').length") == 2
    choose(browser, "#rows", "content")
    assert heads(browser) == (["cat", "dog"], ["content", "noise"])
    assert browser.run(count) == "4 of 12 results", "of one style weight"
    choose(browser, "#columns", "content")
    assert heads(browser) == (["content", "noise"], ["cat", "dog"]), "they change places"
    choose(browser, "#columns", "–")
    choose(browser, "[data-axis='2']", "all")
    assert browser.run("document.querySelectorAll('.flow .cell').length") == 12
    browser.click(".cell")
    facts = browser.run("document.querySelector('#body').innerText")
    differing = facts.partition("Settings that differ")[2]
    assert "style_weight" in differing
    assert "seed" not in differing, "it is in the list that is folded"
    assert "All 3 settings" in facts


def test_find_narrows_the_view(browser: Chromium, grid: Path) -> None:
    browser.open(grid)
    browser.click("#words")
    browser.call("Input.insertText", text="PLAIN b<")
    browser.wait("document.querySelectorAll('.cell').length === 1")
    browser.call("Input.insertText", text="zzz")
    browser.wait("document.querySelectorAll('.empty').length")


def test_it_fits_a_phone(browser: Chromium, grid: Path) -> None:
    browser.resize(390, 844, phone=True, dark=True)
    browser.open(grid)
    wide = "document.documentElement.scrollWidth"
    assert browser.run("innerWidth") == 390
    assert browser.run(wide) == 390
    x, y = (browser.place(".cell")[side] + 20 for side in ("x", "y"))
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.wait(OPEN)
    assert browser.place("#box")["width"] == 390
    body = "document.getElementById('body')"
    assert browser.run(f"{body}.scrollWidth <= {body}.clientWidth") is True
    box = browser.place(".stage")
    points = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + 30}]
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=points)
    assert float(browser.run(AT)[:-1]) == pytest.approx(50, abs=1)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    for selector in ("#previous", "#next", "#close"):
        place = browser.place(selector)
        assert min(place["width"], place["height"]) >= 40, "wide enough for a finger"
    browser.click("#close")
    browser.click("#as-list")
    assert browser.run(wide) == 390
    ground = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(ground) == "rgb(23, 24, 27)", "dark where that is preferred"


def test_it_works_without_the_originals(browser: Chromium, grid: Path) -> None:
    for folder in ("photos", "paintings"):
        (grid.parent.parent / folder).rename(grid.parent.parent / f"{folder}-moved")
    browser.open(grid)
    browser.click(".cell")
    browser.wait(LOADED)
    assert browser.run("document.querySelectorAll('#body .sources img').length") == 2


def test_five_thousand_results_open(browser: Chromium, tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["one"], ["style"])
    result = record("one/style.png", "../photos/one.png", "../paintings/style.png")
    names = [f"one/style-{i:02d}-{j}.png" for i in range(100) for j in range(50)]
    for name in names:
        (out / name).hardlink_to(out / "one/style.png")
    write_manifest(
        out, [result.with_facts(output=n, case={"i": n[10:12], "j": n[13:-4]}) for n in names]
    )
    page, _ = write_gallery(out)
    browser.open(page)
    browser.wait("document.querySelectorAll('.cell').length === 5000")
    thumbs = [url for url in browser.requested if "gallery/results" in url]
    assert len(thumbs) < 2500, "what is far below is not loaded"
    browser.click("#as-list")
    browser.wait("document.querySelectorAll('.list .cell').length === 5000")


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_results_of_every_format_are_seen(browser: Chromium, tmp_path: Path, suffix: str) -> None:
    result = f"one/s.t.{suffix}"
    flat(tmp_path / "out" / result, (200, 10, 20))
    flat(tmp_path / "c.png", (10, 20, 30))
    write_manifest(tmp_path / "out", [record(result, "../c.png", "../c.png")])
    page, _ = write_gallery(tmp_path / "out")
    browser.open(page)
    browser.click(".cell")
    browser.wait(LOADED)
    seen = browser.run("document.querySelector('.stage .after').src")
    assert seen.endswith(
        f"/out/{'gallery/large/' * (suffix == 'tif')}{result}" + ".jpg" * (suffix == "tif")
    )


def test_a_film_is_played_beside_its_clip(browser: Chromium, tmp_path: Path) -> None:
    """One clip that browsers play, one that they do not, and one that is a folder of frames."""
    (tmp_path / "numbered").mkdir()
    make_film(tmp_path / "clip.mp4", pan(10))
    make_film(tmp_path / "other.mkv", pan(10), codec="ffv1", samples="bgr0", options={})
    flat(tmp_path / "s.png", (0, 0, 200))
    records, out = [], tmp_path / "out"
    for content in ("clip.mp4", "numbered", "other.mkv"):
        output = f"{content.split('.')[0]}/s.mp4"
        records.append(record(output, f"../{content}", "../s.png", frames=10))
        flat(out / output.replace(".mp4", "/stills.png"), (200, 0, 0), (128, 96))
        flat(out / output.replace(".mp4", "/stills-before.png"), (0, 200, 0), (128, 96))
        make_film(out / output, pan(10, seed=3))
    write_manifest(out, records)
    browser.open(write_gallery(out)[0])
    assert browser.run("document.querySelectorAll('.cell img').length") == 3
    browser.click(".cell")
    played = "[...document.querySelectorAll('.pair video')].map((one) => one.src.split('/').at(-1))"
    assert browser.run(played) == ["s.mp4", "clip.mp4"]
    browser.run("document.querySelector('.pair video').play()")
    moving = "[...document.querySelectorAll('.pair video')].every((one) => one.currentTime > 0.05)"
    browser.wait(moving)
    browser.run("document.querySelector('.pair video').pause()")
    browser.wait("[...document.querySelectorAll('.pair video')].every((one) => one.paused)")
    still = "document.querySelectorAll('.pair figure')[1].querySelector('img')?.naturalWidth"
    browser.click("#next")
    browser.wait(f"{played}.length === 1 && {still} === 128")
    browser.click("#next")
    browser.wait(f"{played}.length === 1 && {still} === 128")
    assert browser.run(played) == ["s.mp4"]
