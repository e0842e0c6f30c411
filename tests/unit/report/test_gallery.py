"""The gallery's data, copies and page, without a browser."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_lightning.drawing import thumbnails
from nst_lightning.errors import UserError
from nst_lightning.grid.labels import as_text, short_labels
from nst_lightning.imaging.decoding import decode_on_white
from nst_lightning.report.gallery import read_records, write_gallery
from nst_lightning.report.gallery_data import (
    InputCopies,
    find_axes,
    finite_number,
    gallery_data,
    sorting_key,
    tabulate_settings,
)
from nst_lightning.report.page import make_link, render
from tests.results_folder import (
    SETTINGS,
    change,
    flat,
    make_grid,
    read_manifest,
    record,
    write_manifest,
)


def no_source(path: str) -> InputCopies:
    return InputCopies("x.jpg", None, None, False)


def data_of(page: Path) -> dict[str, Any]:
    """What the page holds, as a browser would read it."""
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_grid_has_contents_down_and_styles_across(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["b", "a"], ["s10", "s9", "s1"])
    page, counts = write_gallery(out)
    assert page == out / "index.html"
    assert counts == {"done": 6, "failed": 0, "missing": 0}
    data = data_of(page)
    assert [axis["values"] for axis in data["axes"]] == [["a", "b"], ["s1", "s9", "s10"]]
    assert (data["rows"], data["columns"]) == (0, 1)
    assert data["losses"] == ["total", "content", "style", "tv"]
    by_href = {result["href"]: result for result in data["results"]}
    result = by_href["b/s9.png"]
    assert result["at"] == [1, 1]
    assert result["losses"] == [999.0, 1.0, 998.0, 0.0]
    assert result["unweighted"] == [None, 1.0, 0.025, None]
    assert (result["size"], result["thumb"], result["state"]) == ([64, 48], [64, 48], "done")
    content = data["axes"][0]["images"][0]
    assert (content["href"], content["thumb"]) == ("../photos/a.png", [64, 48])


def test_copies_are_small_jpegs_in_a_folder_of_their_own(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s"])
    flat(out / "a" / "s.png", (10, 20, 200), (600, 300))
    flat(tmp_path / "photos" / "a.png", (0, 90, 0, 0), (300, 3000))
    before = files_below(out)
    write_gallery(out)
    made = files_below(out) - before
    assert {Path(name).parts[0] for name in made} == {"index.html", "gallery"}
    with Image.open(out / "gallery" / "results" / "a" / "s.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (256, 128))
        pixel = image.convert("RGB").getpixel((50, 50))
        assert isinstance(pixel, tuple)
        assert max(abs(a - b) for a, b in zip(pixel, (10, 20, 200), strict=True)) < 6
    copy = data_of(out / "index.html")["axes"][0]["images"][0]
    assert (copy["view"], copy["thumb"]) == ([128, 1280], [26, 256])
    with Image.open(out / "gallery" / "views" / copy["copy"]) as image:
        assert image.size == (128, 1280)
        assert image.convert("RGB").getpixel((9, 9)) == (255, 255, 255), "transparent is white"


def test_only_copies_older_than_their_image_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = make_grid(tmp_path, ["a", "b"], ["s"])
    write_gallery(out)
    read: list[str] = []

    def noted(path: Path, **options: Any) -> Any:
        read.append(Path(path).name)
        return decode_on_white(path, **options)

    monkeypatch.setattr(thumbnails, "decode_on_white", noted)
    write_gallery(out)
    assert read == []
    image = flat(out / "b" / "s.png", (9, 9, 9), (32, 64))
    newer = (out / "gallery" / "results" / "b" / "s.jpg").stat().st_mtime + 5
    os.utime(image, (newer, newer))
    write_gallery(out)
    assert read == ["s.png"]
    thumbs = {result["href"]: result["thumb"] for result in data_of(out / "index.html")["results"]}
    assert thumbs == {"a/s.png": [64, 48], "b/s.png": [32, 64]}


def test_it_works_after_the_originals_or_the_folder_have_moved(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s"])
    (tmp_path / "photos" / "a.png").unlink()  # before the first time: nothing to show
    write_gallery(out)
    content, style = (a["images"][0] for a in data_of(out / "index.html")["axes"])
    assert (content["view"], content["thumb"], content["href"]) == (None, None, None)
    assert content["path"] == "../photos/a.png"
    assert style["href"] == "../paintings/s.png"
    moved = tmp_path / "else" / "where" / "out"
    moved.parent.mkdir(parents=True)
    out.rename(moved)  # and after it: the copies stay
    assert write_gallery(moved)[1]["done"] == 1
    _, style = (a["images"][0] for a in data_of(moved / "index.html")["axes"])
    assert style["href"] is None
    assert (style["view"], style["thumb"]) == ([50, 50], [50, 50])
    assert (moved / "gallery" / "views" / style["copy"]).is_file()


def test_an_original_of_a_name_too_long_for_the_system_is_not_there(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s0"])
    change(out, "a/s0.png", style=f"../{'s' * 700}.png")
    assert write_gallery(out)[1]["done"] == 1


def test_results_without_a_image_say_why(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["broken", "failed", "gone", "good"])
    (out / "a" / "broken.png").write_bytes((out / "a" / "good.png").read_bytes()[:50])
    change(out, "a/failed.png", status="failed", reason="the sky fell", losses={}, steps=0)
    (out / "a" / "gone.png").unlink()
    assert write_gallery(out)[1] == {"done": 1, "failed": 1, "missing": 2}
    results = {result["href"]: result for result in data_of(out / "index.html")["results"]}
    assert results["a/failed.png"]["reason"] == "the sky fell"
    assert results["a/failed.png"]["losses"] == [None] * 4
    assert "no longer" in results["a/gone.png"]["reason"]
    assert "cannot be read" in results["a/broken.png"]["reason"]
    assert all(results[f"a/{name}.png"]["thumb"] is None for name in ("failed", "gone", "broken"))
    good = results["a/good.png"]
    assert (good["state"], good["reason"]) == ("done", "")


def test_files_beside_a_result_are_found(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s", "t"])
    names = ["curves.png", "history.csv", "last-good.png", "progress.gif", "step-0010.png"]
    for name in [*names, "notes.txt", "step-x.png", ".step-0001.png.nst-tmp", "progress.avi"]:
        (out / "a" / "s").mkdir(exist_ok=True)
        (out / "a" / "s" / name).write_bytes(b"")
    (out / "a" / "s.yaml").write_text("")
    write_gallery(out)
    results = {result["href"]: result for result in data_of(out / "index.html")["results"]}
    assert results["a/s.png"]["files"] == names
    assert results["a/t.png"]["files"] == []
    assert [results[f"a/{name}.png"]["yaml"] for name in "st"] == [True, False]


def test_results_of_every_format_are_shown(tmp_path: Path) -> None:
    names = ["one/s.png", "one/s.jpg", "one/t.u.webp", "one/v.tif", "one/w.bmp"]
    for name in names:
        flat(tmp_path / name, (10, 20, 30))
    (tmp_path / "one" / "t.u.yaml").write_text("")
    flat(tmp_path / "one" / "v" / "curves.png", (1, 2, 3))
    write_manifest(tmp_path, [record(name, "c.png", "s.png") for name in names])
    page, counts = write_gallery(tmp_path)
    assert counts == {"done": 4, "failed": 0, "missing": 0}  # no run writes a BMP
    made = files_below(tmp_path / "gallery")
    small = {"one/s.jpg", "one/s.jpg.jpg", "one/t.u.webp.jpg", "one/v.tif.jpg"}
    assert {f"results/{name}" for name in small} | {"large/one/v.tif.jpg"} <= made
    results = {result["href"]: result for result in data_of(page)["results"]}
    assert results["one/t.u.webp"]["yaml"] is True
    assert results["one/v.tif"]["files"] == ["curves.png"]


NASTY = [
    "</script><script>alert(1)</script>", "<!--", "a'b\"c", "50% #1?", "näive 日本", "a&amp;b",
    "back\\slash", "\u2028line", "{{x}} $& __DATA__ <!-- data -->",
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_no_name_breaks_the_page(tmp_path: Path, name: str) -> None:
    one = record(f"c/{name}.png".replace("</", "<"), f"../{name}", "../s.png", case={name: name})
    data = gallery_data(tmp_path, [one], lambda r: None, no_source)
    plain = render("x", gallery_data(tmp_path, [record("c/s.png", "c", "s")], lambda r: None,
                                     no_source))  # fmt: skip
    text = render(f"{name}", data)
    for sign in ("<script", "</script", "<!--"):
        assert text.count(sign) == plain.count(sign), "the page's own, and no other"
    page = tmp_path / "p.html"
    page.write_text(text, encoding="utf-8")
    assert data_of(page) == json.loads(json.dumps(data))
    assert data_of(page)["axes"][2]["name"] == name


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = render("t", gallery_data(tmp_path, [record("c/s.png", "c", "s")], lambda r: None,
                                    no_source))  # fmt: skip
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=(?!\"data:)", page)


def test_links_are_encoded() -> None:
    assert make_link("a b/50%#?.png") == "a%20b/50%25%23%3F.png"
    assert make_link("../日.png") == "../%E6%97%A5.png"
    assert make_link("javascript:alert(1)/x.png") == "javascript%3Aalert%281%29/x.png"
    assert make_link("D:/my photos/a#.png") == "file:///D:/my%20photos/a%23.png"
    assert make_link("\"'<>&.png") == "%22%27%3C%3E%26.png"
    assert make_link(os.fsdecode(b"\xff.png")) == "%FF.png"


def test_a_sweep_has_its_axes_as_rows_and_columns(tmp_path: Path) -> None:
    records = [
        record(f"{w}-{init}/{c}/s.png", f"../{c}.png", "../s.png",
               case={"style_weight": w, "init": init})
        for c in ("cat", "dog") for w in ("1e6", "20", "1e5") for init in ("noise", "content")
    ]  # fmt: skip
    data = gallery_data(tmp_path, records, lambda r: None, no_source)
    assert [(axis["name"], axis["swept"]) for axis in data["axes"]] == [
        ("content", False), ("style", False), ("style_weight", True), ("init", True),
    ]  # fmt: skip
    assert data["axes"][2]["values"] == ["20", "1e5", "1e6"], "numbers in their order"
    assert (data["rows"], data["columns"]) == (2, 3)
    assert len({tuple(result["at"]) for result in data["results"]}) == len(records)


@pytest.mark.parametrize(
    ("contents", "cases", "first"),
    [
        (2, [{"w": "1"}, {"w": "2"}], (0, 2)),  # contents down, the axis across
        (1, [{"w": "1"}, {"w": "2"}], (2, -1)),  # a lone axis flows
        (2, [{"w": "1"}, {"w": "1", "x": "2"}], (0, 3)),  # not in every case
        (2, [{"w": "1"}], (0, 1)),  # an axis of one value is none
    ],
)
def test_which_axes_are_shown_first(
    tmp_path: Path, contents: int, cases: list[dict[str, str]], first: tuple[int, int]
) -> None:
    records = [
        record(f"{n}/{c}.png", f"{c}.png", "s.png", case=case)
        for c in range(contents)
        for n, case in enumerate(cases)
    ]
    data = gallery_data(tmp_path, records, lambda r: None, no_source)
    assert (data["rows"], data["columns"]) == first


def test_images_that_are_their_own_style_have_one_axis() -> None:
    records = [record(f"{c}/all/seed-0.png", c, c, case={"seed": "0"}) for c in "ab"]
    assert [axis.name for axis in find_axes(records)] == ["content", "case:seed"]


def test_digits_of_other_scripts_are_sorted_as_letters() -> None:
    names = ["²", "a10", "a2", "٣b"]
    key = sorting_key(names, {name: name for name in names})
    assert sorted(names, key=key) == ["a2", "a10", "²", "٣b"]


def test_labels_are_short_and_distinct() -> None:
    paths = ["../p/cat.jpg", "../p/dog.jpg", "../p/dog.png", "../p/x/owl.jpg", "../p/y/owl.jpg"]
    assert list(short_labels(paths).values()) == ["cat", "dog.jpg", "dog.png", "x/owl", "y/owl"]
    many = [f"../p/{i % 7}/{i}.{'jpg' if i % 2 else 'png'}" for i in range(200)] + ["", "/cat"]
    labels = short_labels(many)
    assert len(set(labels.values())) == len(many)


def test_settings_are_said_once() -> None:
    records = [
        record("1.png", "c", "s", settings={**SETTINGS, "style_weight": w, "init": i})
        for w, i in ((80.0, "noise"), (1e6, "noise"), (80.0, "noise"), (80.0, "gray"))
    ]
    common, differing, variants, chosen = tabulate_settings(records)
    assert differing == ["style_weight", "init"]
    assert variants == [["80", "noise"], ["1e+06", "noise"], ["80", "gray"]]
    assert chosen == [0, 1, 0, 2]
    assert common == {
        "network": "vgg19", "style_layers": "relu1_1,relu2_1=0.25", "scales": "512:300",
        "learning_rate": "default", "bounds": "yes", "max_pixels": "100000000",
    }  # fmt: skip
    assert as_text([]) == as_text({}) == ""


def test_numbers_that_json_cannot_hold_are_left_out(tmp_path: Path) -> None:
    found = [finite_number(v) for v in (1, 1.23456789, float("nan"), float("inf"), None)]
    assert found == [1.0, 1.23457, None, None, None]
    odd = record("c/s.png", "c", "s", losses={"total": float("nan")}, seconds=float("inf"))
    write_manifest(tmp_path, [odd])
    write_gallery(tmp_path)
    assert data_of(tmp_path / "index.html")["results"][0]["losses"] == [None]


def test_a_record_may_lack_nearly_everything(tmp_path: Path) -> None:
    lines = ['{"output": "a/b.png"}', '{"output": "c.png"}', '{"output": "d.png", "case": 3}']
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))  # the last one is no record
    assert write_gallery(tmp_path)[1] == {"done": 0, "failed": 2, "missing": 0}


def test_records_that_lead_out_of_the_folder_are_passed_over(tmp_path: Path) -> None:
    outputs = ["../x.png", "/x.png", "a/../../x.png", "a/b.txt", "a/b.png"]
    line = record("OUTPUT", "c", "s").text()
    lines = [line.replace("OUTPUT", output) for output in outputs]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    assert [one.output for one in read_records(tmp_path)] == ["a/b.png"]


def test_five_thousand_results_stay_small(tmp_path: Path) -> None:
    records = [
        record(f"photo {i}/painting {j}.png", f"../photos/photo {i}.jpg", f"../p/painting {j}.jpg")
        for i in range(100)
        for j in range(50)
    ]
    asked: list[str] = []

    def source(path: str) -> InputCopies:
        asked.append(path)
        return no_source(path)

    data = gallery_data(tmp_path, records, lambda r: (256, 192), source)
    assert len(data["results"]) == 5000
    assert sorted(asked) == sorted(set(asked)), "each input once"
    assert len(asked) == 150
    assert len(render("x", data)) < 400 * 5000


def test_what_evaluate_measured_is_in_the_page(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s", "t"])
    assert data_of(write_gallery(out)[0])["metrics"] == []
    change(out, "a/t.png", finished="later")
    columns = "content,style,style_gram,style_gram_relu2_1,ssim,lpips,other,output,finished"
    (out / "evaluation.csv").write_text(
        f"{columns}\na,s,0.5,0.25,-0.125,,9,a/s.png,\na,t,0.5,0.25,0.5,,9,a/t.png,before\n"
    )
    data = data_of(write_gallery(out)[0])
    assert [metric["name"] for metric in data["metrics"]] == ["style_gram", "ssim"]
    assert all(metric["label"] and metric["meaning"] for metric in data["metrics"])
    results = {result["href"]: result for result in data["results"]}
    assert results["a/s.png"]["metrics"] == [0.5, -0.125]
    assert results["a/s.png"]["layers"]["Gram"] == [None, 0.25, None, None, None]
    assert "metrics" not in results["a/t.png"], "it was made again since"


def test_a_folder_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write_gallery(tmp_path / "absent")
    with pytest.raises(UserError, match=r"holds no manifest\.jsonl"):
        write_gallery(tmp_path)
    write_manifest(tmp_path, [])
    with pytest.raises(UserError, match="no results yet"):
        write_gallery(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = make_grid(tmp_path, ["a"], ["s"])
    page, _ = write_gallery(out)
    old = page.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_gallery(out)
    assert page.read_bytes() == old
    assert not list(out.rglob("*.nst-tmp"))


def report(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "nst_lightning", "report", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_says_where_the_page_is(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s", "t"])
    change(out, "a/t.png", status="failed", reason="no")
    run = report(out)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"1 result, 1 failed: open {out / 'index.html'} in a browser\n"
    assert json.loads(report(out, "--json").stdout) == {
        "page": str(out / "index.html"), "done": 1, "failed": 1, "missing": 0,
    }  # fmt: skip
    assert report(out, "--quiet").stdout == ""


def test_the_command_refuses_other_folders_in_one_sentence(tmp_path: Path) -> None:
    run = report(tmp_path)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "manifest.jsonl" in run.stderr


def test_no_torch_is_imported(tmp_path: Path) -> None:
    out = make_grid(tmp_path, ["a"], ["s"])
    probe = (
        "import sys; from nst_lightning.cli.app import app\n"
        f"try: app(['report', {str(out)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(read_manifest(out)) == 1


def test_a_film_is_shown_by_its_stills(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "numbered").mkdir()
    (tmp_path / "clip.mov").write_bytes(b"a film")
    flat(tmp_path / "s.png", (0, 0, 200))
    records = []
    for content in ("clip.mov", "numbered"):
        output = f"{content.split('.')[0]}/s.mp4"
        records.append(record(output, f"../{content}", "../s.png", frames=9))
        flat(out / output.replace(".mp4", "/stills.png"), (200, 0, 0), (128, 96))
        flat(out / output.replace(".mp4", "/stills-before.png"), (0, 200, 0), (128, 96))
        (out / output).write_bytes(b"a film")
    write_manifest(out, records)
    page, counts = write_gallery(out)
    assert counts == {"done": 2, "failed": 0, "missing": 0}
    data = data_of(page)
    clip, numbered = data["axes"][0]["images"]
    assert (clip["href"], clip["film"], clip["view"]) == ("../clip.mov", True, [128, 96])
    assert (numbered["href"], numbered["film"], numbered["view"]) == (
        "../numbered",
        False,
        [128, 96],
    )
    first = data["results"][0]
    assert (first["href"], first["shown"], first["film"]) == (
        "clip/s.mp4",
        "clip/s/stills.png",
        True,
    )
    with Image.open(out / "gallery" / "results" / "clip" / "s.mp4.jpg") as thumbnail:
        assert thumbnail.getpixel((5, 5))[0] > 190
    with Image.open(out / "gallery" / "views" / clip["copy"]) as view:
        assert view.getpixel((5, 5))[1] > 190


def test_a_large_film_has_no_page_of_tiles(tmp_path: Path) -> None:
    flat(tmp_path / "out" / "c" / "s" / "stills.png", (200, 0, 0))
    (tmp_path / "out" / "c" / "s.mp4").write_bytes(b"a film")
    large = {"width": 7680, "height": 4320}
    write_manifest(tmp_path / "out", [record("c/s.mp4", "../c.mov", "../s.png", resolved=large)])
    page, counts = write_gallery(tmp_path / "out")
    assert counts["done"] == 1
    assert not data_of(page)["results"][0]["zoom"]
