"""`nst-batch video`: what it leaves behind, skips, refuses, survives."""

import os
import shutil
import signal
import socket
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nst_lightning import stylize_video
from nst_lightning.errors import UserError
from nst_lightning.layout import FRAMES
from tests.clips import image_times, make_film, packets, pan, sound_packets, texture

from . import forked
from .conftest import ENVIRONMENT, Nst, records, until

LAYERS = ("--content-layers", "relu1_1", "--style-layers", "relu1_1")
QUICK = ("--size", 32, "--steps", 4, "--frame-steps", 2, "--weights", "random", *LAYERS)
FAST = (*QUICK, "--accelerator", "cpu", "--precision", "32-true")
SETTINGS: dict[str, Any] = {
    "size": 32, "steps": 4, "frame_steps": 2, "weights": "random", "accelerator": "cpu",
    "content_layers": "relu1_1", "style_layers": "relu1_1", "precision": "32-true",
}  # fmt: skip
"""Those of `FAST` in a call."""


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    dark, bright = (pan(3, 32, step=1, seed=seed) for seed in (0, 9))
    shots = [*(frame // 3 for frame in dark), *(255 - frame // 3 for frame in bright)]
    make_film(folder / "cut.mp4", shots, sound="aac")
    return folder


@pytest.fixture
def style(tmp_path: Path) -> Path:
    path = tmp_path / "styles" / "noise.png"
    path.parent.mkdir()
    Image.fromarray(texture(48, 5)).save(path)
    return path


def draw_masks(folder: Path) -> None:
    """Draws a mask of two regions for each frame of `cut.mp4`."""
    folder.mkdir()
    for number in range(6):
        mask = Image.new("L", (32, 32))
        mask.paste(255, (0, 0, 16 + number, 32))
        mask.save(folder / f"{number}.png")


def films(out: Path) -> dict[str, list[str]]:
    """The packets of every film of an output folder."""
    return {path.relative_to(out).as_posix(): packets(path) for path in out.rglob("*/*.mp4")}


def test_a_film_keeps_its_times_and_its_sound(nst: Nst, style: Path, tmp_path: Path):
    times, base = [0, 40, 80, 200, 230], Fraction(1, 1000)
    clip = make_film(tmp_path / "clip.mp4", pan(5), times=times, time_base=base, sound="aac")
    made = tmp_path / "made.mp4"
    words = ("video", clip, style, "-o", made, "--size", 48, "--steps", 2, "--frame-steps", 1)
    first = nst(*words)
    assert first.returncode == 0, first.stderr
    assert "is made" in first.stdout
    assert image_times(made) == image_times(clip) == [time * base for time in times]
    assert sound_packets(made) == sound_packets(clip)
    stills = {path.name for path in made.with_suffix("").iterdir()}
    assert stills == {"stills.png", "stills-before.png"}
    assert not (tmp_path / ".nst").exists()
    assert "was made before" in nst(*words).stdout
    other = nst(*words, "--frame-steps", 2)
    assert other.returncode == 2
    assert "frame_steps 1 instead of 2" in other.stderr
    assert other.stderr.count("\n") == 1


@pytest.mark.parametrize("preset", ["seed-001", "seed-004"])
def test_a_preset_that_saves_snapshots_does_without(
    preset: str, nst: Nst, clips: Path, style: Path, tmp_path: Path
):
    words = ("video", clips, style, "--out", tmp_path / "out", "--preset", preset, "--dry-run")
    plan = nst(*words)
    assert plan.returncode == 0, plan.stderr
    refused = nst(*words, "--save-every", 5)
    assert refused.returncode == 2
    assert "save_every 5 does not go with films" in refused.stderr


def test_names_of_films_that_are_not_written_are_refused(
    nst: Nst, clips: Path, style: Path, tmp_path: Path
):
    refused = nst("video", clips / "cut.mp4", style, "-o", tmp_path / "made.avi")
    assert refused.returncode == 2
    assert "made.avi: films are written as .mp4, .mov, .mkv, .webm" in refused.stderr
    (tmp_path / "masks").mkdir()
    words = ("--out", tmp_path / "out", *FAST, "--mask-dir", tmp_path / "masks")
    without = nst("video", clips / "cut.mp4", style, *words)
    assert without.returncode != 0
    assert "masks: holds no masks for" in without.stderr


def test_everything_a_folder_of_films_leaves_behind(
    nst: Nst, clips: Path, style: Path, tmp_path: Path
):
    Image.fromarray(texture(40, 6)).save(style.with_name("second.png"))
    (clips / "numbered").mkdir()
    for number, frame in enumerate(pan(3, 40)):
        Image.fromarray(frame).save(clips / "numbered" / f"frame-{number:03}.png")
    whole = (clips / "cut.mp4").read_bytes()
    (clips / "torn.mp4").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    words = ("video", clips, style.parent, "--out", out, *FAST)

    plan = nst(*words, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "4 films of 18 frames to make, 0 finished" in plan.stdout
    assert "32 px for 4 steps, 2 for each frame that follows another" in plan.stdout
    assert not out.exists()

    first = nst(*words)
    assert first.returncode == 1
    assert first.stderr.count("torn.mp4: is cut short") == 4  # at once and at the end, two styles
    assert "4 made, 0 done before, 2 failed" in first.stdout
    results = {f"{clip}/{name}.mp4" for clip in ("cut", "numbered") for name in ("noise", "second")}
    made = films(out)
    assert made.keys() == results
    for result in results:
        folder = out / Path(result).with_suffix("")
        assert {path.name for path in folder.iterdir()} == {"stills.png", "stills-before.png"}
        assert folder.with_suffix(".yaml").is_file()
    assert image_times(out / "numbered/noise.mp4") == [Fraction(k, 25) for k in range(3)]
    assert (out / "grid.png").is_file()
    assert not (out / FRAMES).exists()
    known = records(out)
    assert {name for name, line in known.items() if line["status"] == "done"} == results
    assert {line.get("frames") for line in known.values()} == {6, 3, None}

    before = {name: (out / name).stat().st_mtime_ns for name in results}
    (clips / "torn.mp4").unlink()
    again = nst(*words)
    assert again.returncode == 0, again.stderr
    assert "0 made, 4 done before" in again.stdout
    assert {name: (out / name).stat().st_mtime_ns for name in results} == before
    # What was killed before its line in the ledger is known by its record; what was killed before
    # its frames were gone is tidied up.
    lines = (out / "manifest.jsonl").read_text().splitlines()
    (out / "manifest.jsonl").write_text("".join(f"{one}\n" for one in lines if "cut" not in one))
    left = out / FRAMES / known["cut/noise.mp4"]["fingerprint"][:32]
    left.mkdir(parents=True)
    assert "0 made, 4 done before" in nst(*words).stdout
    assert not left.exists()
    (out / "cut" / "noise.mp4").unlink()
    assert "1 made, 3 done before" in nst(*words).stdout
    assert films(out) == made

    refused = nst(*words, "--film-quality", 50)
    assert refused.returncode == 2
    assert "film_quality 90 instead of 50" in refused.stderr
    replaced = nst(*words, "--film-quality", 50, "--overwrite", "--keep-frames")
    assert replaced.returncode == 0, replaced.stderr
    assert "4 made, 0 done before" in replaced.stdout
    assert all(packets(out / name) != made[name] for name in results)
    kept = sorted(path.name for path in (out / "cut/noise/frames").iterdir())
    assert kept == [f"{number:06}.png" for number in range(1, 7)]
    cleaned = nst("clean", out, "--yes")
    assert cleaned.returncode == 0, cleaned.stderr
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_film_goes_on(
    nst: Nst, clips: Path, style: Path, tmp_path: Path, number: int, code: int
):
    words = ("video", clips, style, *FAST, "--steps", 30, "--frame-steps", 30)
    assert nst(*words, "-o", tmp_path / "whole").returncode == 0
    out = tmp_path / "out"
    process = forked.start([str(word) for word in (*words, "-o", out)], ENVIRONMENT, tmp_path)
    until(out / FRAMES)
    (frames,) = (out / FRAMES).iterdir()
    until(frames / "000000" / "000001.png")
    assert process.pid
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    assert not (out / "cut" / "noise.mp4").exists()
    assert len(list(frames.rglob("*.png"))) in (2, 3)
    shutil.copytree(frames, tmp_path / "frames")
    assert nst(*words, "-o", out).returncode == 0
    assert films(out) == films(tmp_path / "whole")
    assert not (out / FRAMES).exists()


def test_workers_and_shares_make_the_same_film(nst: Nst, clips: Path, style: Path, tmp_path: Path):
    words = ("video", clips, style, *FAST)
    one, two = (nst(*words, "-o", tmp_path / f"{n}", "--devices", n) for n in (1, 2))
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    made = films(tmp_path / "1")
    assert made.keys() == {"cut/noise.mp4"}
    assert films(tmp_path / "2") == made
    shares = tmp_path / "shares"
    first = nst(*words, "-o", shares, "--shard", "1/2")
    assert first.returncode == 0, first.stderr
    assert not films(shares)
    second = nst(*words, "-o", shares, "--shard", "2/2")
    assert second.returncode == 0, second.stderr
    assert films(shares) == made


def test_masks_by_frame(nst: Nst, clips: Path, style: Path, tmp_path: Path):
    masks = tmp_path / "masks"
    draw_masks(masks)
    Image.new("L", (48, 48), 255).save(masks / "noise.png")
    words = ("video", clips, style, *FAST, "--mask-dir", masks)
    plain = nst("video", clips, style, *FAST, "-o", tmp_path / "plain")
    masked = nst(*words, "-o", tmp_path / "masked")
    assert (plain.returncode, masked.returncode) == (0, 0), masked.stderr
    assert films(tmp_path / "masked") != films(tmp_path / "plain")
    (masks / "5.png").unlink()
    refused = nst(*words, "-o", tmp_path / "x.mp4")
    assert refused.returncode == 2
    assert "holds 5 masks" in refused.stderr
    assert "has 6 frames; give one for each frame" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_missing_frames_and_a_folder_without_clips_are_told(nst: Nst, style: Path, tmp_path: Path):
    frames = tmp_path / "frames"
    frames.mkdir()
    assert "nor two numbered frames" in nst("video", frames, style, *FAST).stderr
    for number in (1, 2, 5, 6, 8):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(frames / f"{number}.png")
    words = ("video", frames, style, *FAST, "--dry-run", "-o", tmp_path / "out")
    told = nst(*words)
    assert told.returncode == 0
    assert f"{frames}: frames are missing (3 to 4, 7)" in told.stderr
    assert told.stderr.count("\n") == 1
    assert nst(*words, "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--split",), "split True does not go with films"),
        (("--finish", "detail"), "finish detail does not go with films"),
        (("--bit-depth", 16), "bit_depth 16 does not go with films"),
        (("--container", "webm", "--codec", "h264"), "codec"),
        (("-o", "x.mkv", "--container", "mp4"), "leave --container out, or name it x.mp4"),
        (("-o", "x.mp4", "--blend-styles", "2"), "makes several films"),
        (("--shard", "3/2"), "--shard"),
        (("--mask-dir", "nowhere"), "nowhere: there is no such folder"),
    ],
)
def test_what_does_not_go_with_films_is_refused(
    nst: Nst, clips: Path, style: Path, tmp_path: Path, words: tuple[str, ...], said: str
):
    words = tuple(str(tmp_path / word) if str(word).startswith("x.") else word for word in words)
    run = nst("video", clips, style, "-o", tmp_path / "out", *FAST, *words)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_damaged_frame_is_made_again(nst: Nst, clips: Path, style: Path, tmp_path: Path):
    words = ("video", clips, style, *FAST)
    assert nst(*words, "-o", tmp_path / "whole").returncode == 0
    out = tmp_path / "out"
    assert nst(*words, "-o", out, "--shard", "1/2").returncode == 0
    (first,) = out.glob(f"{FRAMES}/*/0*")
    frame = first / "000001.png"
    frame.write_bytes(frame.read_bytes()[:100])
    second = nst(*words, "-o", out, "--shard", "2/2")
    assert second.returncode == 1
    assert "000001.png: is gone or damaged; run the same command again" in second.stderr
    assert not frame.exists()
    assert nst(*words, "-o", out).returncode == 0
    assert films(out) == films(tmp_path / "whole")


def test_the_call_makes_the_film_of_the_command(nst: Nst, clips: Path, style: Path, tmp_path: Path):
    command = tmp_path / "command.mkv"
    assert nst("video", clips, style, "-o", command, *FAST).returncode == 0
    made, seen = tmp_path / "call" / "made.mkv", list[tuple[int, int]]()

    class EnoughError(Exception):
        pass

    def stop_at_nine(step: int, steps: int, losses: object) -> None:
        seen.append((step, steps))
        if step == 9:
            raise EnoughError

    with pytest.raises(EnoughError):
        stylize_video(clips / "cut.mp4", style, made, progress=stop_at_nine, **SETTINGS)
    assert seen == [(step, 16) for step in range(1, 10)]
    assert not made.exists()
    leftover = made.with_name(f".made.mkv.{socket.gethostname()}-999999999-1234.nst-tmp")
    leftover.touch()  # as a killed process leaves it
    seen.clear()
    found = stylize_video(
        clips / "cut.mp4", style, made,
        progress=lambda step, steps, losses: seen.append((step, steps)), **SETTINGS,
    )  # fmt: skip
    assert found == made
    assert seen == [(step, 8) for step in range(1, 9)]  # the second shot, of 4 + 2 + 2 steps
    assert packets(made) == packets(command)
    assert sorted(path.name for path in made.parent.iterdir()) == ["made", "made.mkv"]
    seen.clear()
    date = made.stat().st_mtime_ns
    assert stylize_video(clips / "cut.mp4", style, str(made), **SETTINGS) == made
    assert made.stat().st_mtime_ns == date
    with pytest.raises(UserError, match="frame_steps 2 instead of 3"):
        stylize_video(clips / "cut.mp4", style, made, **SETTINGS | {"frame_steps": 3})


def test_a_call_takes_masks_and_several_paintings(
    nst: Nst, clips: Path, style: Path, tmp_path: Path
):
    clip, masks = clips / "cut.mp4", tmp_path / "masks"
    draw_masks(masks)
    whole = Image.new("L", (48, 48), 255)
    whole.paste(0, (0, 0, 24, 48))
    whole.save(style.with_name("noise.mask.png"))
    command = tmp_path / "command.mp4"
    words = ("video", clip, style, "-o", command, *FAST, "--mask-dir", masks)
    assert nst(*words).returncode == 0
    made, unmasked = (
        stylize_video(
            clip,
            style,
            tmp_path / f"call-{one is None}.mp4",
            content_masks=masks,
            style_mask=one,
            **SETTINGS,
        )
        for one in (style.with_name("noise.mask.png"), None)
    )
    assert packets(made) == packets(command) != packets(unmasked)
    other = tmp_path / "other.png"
    Image.fromarray(texture(48, 6)).save(other)
    one, two, both = (
        packets(stylize_video(clip, styles, tmp_path / f"{name}.mp4", **SETTINGS))
        for name, styles in (("a", style), ("b", [other]), ("c", {style: 0.5, other: 0.5}))
    )
    assert one != both != two != one != packets(made)
    refused: list[tuple[dict[str, Any], str]] = [
        ({"style_mask": whole}, "give content_masks"),
        ({"content_masks": tmp_path / "none"}, "there is no such folder"),
        ({"content_masks": masks, "style_mask": whole}, "give their paths"),
        ({"style": None}, "give their paths"),
    ]
    for given, said in refused:
        with pytest.raises(UserError, match=said):
            stylize_video(clip, out=tmp_path / "x.mp4", **{"style": style, **given}, **SETTINGS)
