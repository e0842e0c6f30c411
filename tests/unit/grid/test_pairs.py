"""Names, pairs, shards, batches."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from nst_lightning.errors import UserError
from nst_lightning.grid.pairs import Grid, batches, listed_pairs, parse_shard
from nst_lightning.grid.sources import Source, find_images, output_names, read_sources, shapes
from nst_lightning.layout import safe_name
from nst_lightning.run.cost import plan_flops
from nst_lightning.settings import build


def names(*paths: str) -> list[str]:
    return list(output_names([Path(path) for path in paths]).values())


def test_a_report_keeps_its_place():
    names = output_names([Path("index.html.png"), Path("evaluation.csv.jpg"), Path("indices.png")])
    assert list(names.values()) == ["index.html-png", "evaluation.csv-jpg", "indices"]


def test_names_are_stems_unless_they_collide():
    assert names("cat.jpg", "dog.png") == ["cat", "dog"]
    assert names("cat.jpg", "cat.png", "dog.png") == ["cat-jpg", "cat-png", "dog"]
    upper = names("Cat.jpg", "cat.jpg")
    assert len({name.casefold() for name in upper}) == 2
    assert names("a.jpg", "a/b.jpg") == ["a-jpg", "a/b"]
    mixed = names("cat.jpg", "cat.png", "cat-jpg.png")
    assert len(set(mixed)) == 3
    assert names("x.png.jpg") == ["x.png-jpg"]
    assert names("x.tif.jpg", "y.webp.png", "z.jpg.png", "v.bmp.png") == [
        "x.tif-jpg", "y.webp-png", "z.jpg-png", "v.bmp",
    ]  # fmt: skip


ALIKE = ["cat", "Cat.jpg", "cat.jpg", "cat-jpg.png", "..png"]
PATHS = st.builds(
    lambda parts: Path(*parts),
    st.lists(
        st.text(min_size=1) | st.sampled_from(["cat", "Cat.jpg", "cat-jpg.png", "..png"]),
        min_size=1,
        max_size=3,
    ),
)


@given(st.lists(PATHS, unique=True, max_size=8), st.randoms())
@example([Path("...png"), Path("..png"), Path(".nst.png"), Path("a" * 251 + ".png")], Random(0))
@example(
    [Path("x" * 249 + "y.png"), Path("x" * 249 + "z.png"), Path("é" * 125 + ".jpg")], Random(0)
)
def test_names_are_safe_distinct_and_stable_for_any_inputs(paths: list[Path], random: Random):
    found = output_names(paths)
    folded = [name.casefold() for name in found.values()]
    assert len(set(folded)) == len(paths)
    for name in found.values():
        assert not any(f"{name}/".casefold() == other[: len(name) + 1] for other in folded)
        assert all(part == safe_name(part) for part in name.split("/"))
    random.shuffle(paths)
    assert output_names(paths) == found


def test_names_that_were_fine_stay():
    assert names("a b.jpg", "ümlaut.png", "deep/x.y.png", "x" * 244 + ".jpg") == [
        "a b", "ümlaut", "deep/x.y", "x" * 244,
    ]  # fmt: skip
    assert names("...png")[0].startswith("unnamed-")
    assert names(".nst.png")[0].startswith("nst-")


def sources(folder: str, *labels: str, shape: tuple[int, int] = (30, 40)) -> list[Source]:
    return [Source(Path(folder) / f"{label}.jpg", label, shape) for label in labels]


def test_a_grid_is_every_content_with_every_style():
    contents, styles = sources("c", "a", "b", "c"), sources("s", "x", "y")
    grid = Grid(contents, styles)
    files = ["a/x.png", "a/y.png", "b/x.png", "b/y.png", "c/x.png", "c/y.png"]
    assert [pair.file for pair in grid] == files
    assert [grid[k].file for k in range(-6, 0)] == files
    assert [pair.file for pair in grid[1:6:2]] == files[1:6:2]
    with pytest.raises(IndexError):
        grid[6]
    other = Grid(contents, styles, "tif")
    assert [pair.file for pair in other] == [file.replace(".png", ".tif") for file in files]
    assert (other[5].file, other[5].extras) == ("c/y.tif", Path("c/y"))


@pytest.mark.parametrize("wrong", ["0/4", "5/4", "x", "1/", "/2", "-1/2", "²/4", "9" * 5000 + "/1"])
def test_shards_out_of_range(wrong: str):
    with pytest.raises(UserError, match="--shard"):
        parse_shard(wrong)


def test_shards_count_from_one():
    assert parse_shard("1/4") == (0, 4)
    assert parse_shard("4/4") == (3, 4)


def test_a_batch_has_one_shape():
    wide, tall = sources("c", "a", "b"), sources("c", "t", shape=(40, 30))
    pairs = Grid([wide[0], *tall, wide[1]], sources("s", "x", "y", "z"))
    made = batches(pairs, build({"size": 20}), lambda height, width: 4)
    assert [len(batch) for batch in made] == [4, 2, 3]
    for batch in made:
        assert len({pair.content.shape for pair in batch}) == 1


def test_a_share_is_of_each_contents_own_size():
    large, small = sources("c", "a", shape=(600, 1000)), sources("c", "b", shape=(300, 100))
    pairs = Grid([*large, *small], sources("s", "x"))
    settings = build({"scales": "10%:1,50%:1,original:1"})
    # Never below 192 pixels, where there are so many.
    assert shapes(large[0], settings) == ((115, 192), (300, 500), (600, 1000))
    assert shapes(small[0], settings) == ((192, 64), (192, 64), (300, 100))
    assert len(batches(pairs, settings, lambda height, width: 9)) == 2
    assert plan_flops([pairs[0]], settings) > 10 * plan_flops([pairs[1]], settings)


def test_listed_pairs(tmp_path: Path):
    table = tmp_path / "pairs.csv"
    contents, styles = sources("c", "a", "b"), sources("s", "x", "y")
    table.write_text("Content, Style\na.jpg, y\n\nb,x.jpg\na,y\n")
    found = listed_pairs(table, contents, styles)
    assert [p.label for p in found] == ["a × y", "b × x"]
    assert [p.file for p in listed_pairs(table, contents, styles, "webp")] == [
        "a/y.webp", "b/x.webp",
    ]  # fmt: skip
    for text, sentence in (("a,q\n", "'q'"), ("a\n", "content,style"), ("", "no pairs")):
        table.write_text(text)
        with pytest.raises(UserError, match=sentence):
            listed_pairs(table, contents, styles)


def test_finding(tmp_path: Path):
    def put(name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)

    for name in ("b.png", "a.JPG", ".hidden.png", "deep/c.webp", "out/x/y.png", "old/x/y.png"):
        put(name)
    (tmp_path / "old" / "manifest.jsonl").write_text("")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "d.heic").write_bytes(b"heic")

    def found(recursive: bool) -> list[str]:
        paths = find_images(tmp_path, recursive=recursive, skip=tmp_path / "out")
        return [path.relative_to(tmp_path).as_posix() for path in paths]

    assert found(False) == ["a.JPG", "b.png", "d.heic"]
    assert found(True) == ["a.JPG", "b.png", "d.heic", "deep/c.webp"]
    # A link to a folder above, which would be walked for ever.
    (tmp_path / "deep" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "deep" / "again").symlink_to(tmp_path / "deep", target_is_directory=True)
    assert found(True) == ["a.JPG", "b.png", "d.heic", "deep/c.webp"]
    read = read_sources(tmp_path, build({}), tmp_path / "out")
    assert [source.shape for source in read] == [(6, 8), (6, 8), None]
    assert "d.heic" in read[2].problem


@pytest.mark.parametrize("name", ["...png", "..png", ".nst.png"])
def test_the_plan_of_a_strange_name_stays_in_the_folder(tmp_path: Path, name: str):
    Image.new("RGB", (8, 6)).save(tmp_path / name, "PNG")
    strange = read_sources(tmp_path / name, build({}), tmp_path / "out")
    plain = sources("s", "x")
    for pair in (*Grid(strange, plain), *Grid(plain, strange)):
        for path in (pair.output, pair.extras):
            assert len(path.parts) == 2
            assert not any(part.startswith(".") for part in path.parts)


def test_a_table_that_is_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="cannot be read as a CSV"):
        listed_pairs(tmp_path / "pipe", [], [])
