"""Results folders as a grid or a sweep leaves them, without the work of making one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nst_lightning.store.records import Record, parse_record

SETTINGS = {
    "network": "vgg19",
    "style_layers": {"relu1_1": 1.0, "relu2_1": 0.25},
    "style_weight": 80.0,
    "scales": [{"size": 512, "steps": 300}],
    "learning_rate": None,
    "bounds": True,
    "max_pixels": 10**8,
}


def flat(path: Path, colour: tuple[int, ...], size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(path)
    return path


def record(output: str, content: str, style: str, **facts: Any) -> Record:
    """A finished pair's line of the manifest."""
    data = {
        "output": output,
        "status": "done",
        "content": content,
        "style": style,
        "losses": {"content": 1.0, "style": 2.0, "tv": 0.0, "total": 3.0},
        "unweighted": {"content": 1.0, "style": 0.025},
        "steps": 300,
        "seconds": 1.5,
        "device": "cpu",
        "resolved": {"width": 64, "height": 48},
        "settings": SETTINGS,
        **facts,
    }
    return Record.model_validate(data)


def write_manifest(out: Path, records: Sequence[Record]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    lines = (one.text() + "\n" for one in records)
    (out / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")


def make_grid(root: Path, contents: Sequence[str], styles: Sequence[str]) -> Path:
    """`root`/out, its inputs beside it in photos/ and paintings/; total losses fall, from 1000."""
    out = root / "out"
    for i, name in enumerate(contents):
        flat(root / "photos" / f"{name}.png", (250, 20 * i, 0))
    for j, name in enumerate(styles):
        flat(root / "paintings" / f"{name}.png", (0, 250, 20 * j), (50, 50))
    records: list[Record] = []
    for i, content in enumerate(contents):
        for j, style in enumerate(styles):
            flat(out / content / f"{style}.png", (20 * i, 20 * j, 250))
            total = 1000.0 - len(records)
            records.append(
                record(
                    f"{content}/{style}.png",
                    f"../photos/{content}.png",
                    f"../paintings/{style}.png",
                    losses={"content": 1.0, "style": total - 1, "tv": 0.0, "total": total},
                    seconds=float((7 * len(records)) % 11),
                )
            )
    write_manifest(out, records)
    return out


def read_manifest(out: Path) -> list[Record]:
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").split("\n")
    return [record for line in lines if (record := parse_record(line))]


def change(out: Path, output: str, **facts: Any) -> None:
    """Another line for a result."""
    write_manifest(
        out, [r.with_facts(**facts) if r.output == output else r for r in read_manifest(out)]
    )
