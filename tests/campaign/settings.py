"""Attacks by what people write: settings files, sweep files, tables and settings on the command
line."""

import os
import random
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from PIL import Image

from nst_lightning.settings import BatchSettings, build, dump_yaml
from nst_lightning.settings.sizes import SHORT_FORM
from tests.campaign.harness import Figures, broken_by, changed_outside, listing, main, nst

FILES = 8
"""Of one attempt."""

LONGEST_MESSAGE = 2000
MEMORY = 6 * 2**30
"""Bytes that a command may ask for; torch alone takes some."""

Dice = random.Random

NAMES = (*BatchSettings.model_fields, *SHORT_FORM)
SWEEP_KEYS = ("preset", "base", "axes", "cases", "contents", "styles")

BOMB = "&a [x, x, x, x, x, x, x, x, x]"
BOMBS = (
    f"[{BOMB}, "
    + ", ".join(f"&{b} [*{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]",
    "&a [*a]",
    "&a {x: *a}",
    f"[{BOMB}, {', '.join(['*a'] * 5000)}]",
    "{<<: &a {size: 3}, <<: *a}",
    "{<<: 3}",
    "{<<: [{steps: 3}, {steps: 4}]}",
)
ODD_YAML = (
    "0x_", '!!int "abc"', "2001-99-99", "2001-01-01", "9" * 5000, "9" * 400, "-" + "9" * 400,
    "[" * 3000 + "]" * 3000, "[" * 3000, "{a: " * 3000 + "}" * 3000, "[" * 25 + "]" * 25, ".nan",
    ".inf", "-.inf", "1e400", "1e308", "-0.0", "1e-320", "0o777", "0b11", "1_000", "190:20:30",
    "null", "~", "''", "true", "off", "[]", "{}", "[[]]", "[{}]", "[null]", "{null: null}",
    "{1: 2}", "{[1]: 2}", "{? {a: 1} : 2}", "!!set {a, b}", "!!binary aGk=", "!!binary x",
    "!!omap [a: 1]", "!!pairs [a: 1]", "!!timestamp x", "!!float x", "!!bool x", "!!null x",
    "!unknown x", "!!map [a]", "!!seq {a: 1}", "!!str 5", "!!python/name:os.system",
    "!!python/tuple [1]", "*nothing", "&a", '"\\0"', '"\\uD800"', '"\\U00110000"', '"\\x1b[31m"',
    '"a\\nb"', "'\u202e'", "|\n  text\n  more", "x" * 3000, "x" * 300_000, "%", "@", "`", "\t",
    "- a\n- b", "? a\n: b", "--- 3", "...", "# x", "0", "-1", "1", "2", "2000", "100000",
    "10000000", "99999999999", "0.1", "1.5", "auto", "none", "original", "25%", "0%", "1e-9%",
    "short:64", "short:0", "64x64", "0x0", "64x", "\u00b2", "\u0663", "64:3", "64:3,32:3", ",",
    "a,b", "a=b", "=", "relu1_1=nan", "relu1_1=-1", "conv1_1,conv1_1", "[{size: 64}]",
    "[{size: 64, steps: 0}]", "[{size: [1]}]", "{size: 64}", "[1, 2]", "[true]", "~nobody/x",
    "/dev/zero", "/dev/stdin", ".", "..", "/", "content", "noise", "lbfgs",
)  # fmt: skip
RAW = (
    b"", b"\0", b"\0" * 1000, b"\xef\xbb\xbfsteps: 3", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff\0s",
    b"\xff" * 100, b"\xed\xa0\x80: 3", b"steps: 3\0", b"steps: \x07", b"\x1b[2J", b"\r\r\r",
    b"\n" * 10**5, b"steps: 3\r\nseed: 4\r\n", b"steps: 3\x85seed: 4", b"a", b"- 1", b"3", b"null",
    b"--- 1\n--- 2", b"%YAML 9.9\n---\nsteps: 3", b"%TAG ! x\n---\n!a 3", b"steps: 3\nsteps: 4",
    b"\t\tsteps: 3", b"steps:3", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"{", b"}", b": : :",
    b"? ? ?", b"- - - -", b"!" * 1000, b"&" * 1000, b"content,style\n", b"c,s\n", b"c.png,s.png\n",
    b"content,style\nc,s,x\n", b"\"", b"c,\"s\n\n\n", b",\n", b"c," + b"s" * 200_000,
    b"c," + b"x" * 5_000, b"c," * 5_000, b"c\0,s", b"c,s\rc,s\r", b" c , s ",
)  # fmt: skip


def code(folder: Path) -> list[str]:
    """Returns YAML that would make the file `ran` where code in it ran."""
    ran = folder / "in" / "ran"
    return [
        f"!!python/object/apply:os.system ['touch {ran}']",
        f"!!python/object/new:os.system ['touch {ran}']",
        f"!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{ran}']]",
    ]


def value(dice: Dice, folder: Path) -> str:
    """Returns a setting's value as YAML: odd, of another setting, or nearly its own."""
    few = [one for name in NAMES for one in choices(name)]
    return dice.choice(
        [dice.choice(ODD_YAML)] * 6 + [dice.choice(few)] * 2 + [*BOMBS, *code(folder)]
    )


def choices(name: str) -> list[str]:
    """Returns what a setting can be, where that is one of a few."""
    field = BatchSettings.model_fields.get(name)
    found = (
        [str(one) for one in get_args(field.annotation) if isinstance(one, (str, int))]
        if field
        else []
    )
    return found or ["64", "3"]


def name(dice: Dice) -> str:
    """Returns the name of a setting, now and then of none."""
    odd = ("setps", "", "a" * 3000, "<<", "\u202e", "!!int 3", "? [a]", "__class__", "model_config")
    return dice.choice([*NAMES, *SHORT_FORM * 5, *["scales"] * 5, *odd])


def mapping(dice: Dice, folder: Path, most: int = 3) -> str:
    """Returns settings as the lines of a mapping."""
    return "".join(f"{name(dice)}: {value(dice, folder)}\n" for _ in range(dice.randint(1, most)))


def indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def sweep(dice: Dice, folder: Path) -> str:
    """Returns a sweep file with one or two things that are wrong."""
    parts: dict[str, str] = {"base": "{size: 16, steps: 1}", "axes": "{seed: [1, 2]}"}
    kinds: list[Callable[[], str]] = [
        lambda: value(dice, folder),
        lambda: "\n" + indented(mapping(dice, folder)),
        lambda: f"\n  {name(dice)}: [{value(dice, folder)}, {value(dice, folder)}]",
        lambda: f"\n  free:\n    one: {value(dice, folder)}\n    two: {{seed: 4}}",
    ]
    for _ in range(dice.randint(1, 2)):
        parts[dice.choice(SWEEP_KEYS)] = dice.choice(kinds)()
    return "".join(f"{key}: {said}\n" for key, said in parts.items())


def huge_sweep(dice: Dice) -> str:
    """Returns a sweep of at least 10^8 cases."""
    axes = {"seed": list(range(1000)), "tv_weight": list(range(1000)), "steps": list(range(1, 101))}
    if dice.random() < 0.5:
        axes = {f"axis {n}": {f"{i}": {"seed": i} for i in range(10)} for n in range(9)}  # type: ignore[misc]
    return yaml.safe_dump({"axes": axes})


def flipped(dice: Dice, data: bytes) -> bytes:
    """Returns bytes of which some are others, gone or doubled."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed))
        changed[at : at + 1] = dice.choice(
            [bytes([dice.randrange(256)]), b"", changed[at : at + 1] * 2]
        )
    return bytes(changed)


def text_of(dice: Dice, folder: Path, valid: str, sweeps: bool) -> bytes:
    """Returns what stands in a hostile file."""
    made: Sequence[Callable[[], bytes]] = (
        lambda: (sweep(dice, folder) if sweeps else mapping(dice, folder)).encode(
            "utf-8", "replace"
        ),
        lambda: dice.choice(RAW),
        lambda: flipped(dice, valid.encode()),
        lambda: valid.encode(dice.choice(["utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp037"])),
        lambda: dice.randbytes(dice.choice([3, 300, 30_000])),
        lambda: huge_sweep(dice).encode() if sweeps else mapping(dice, folder, 30).encode(),
    )
    return dice.choices(made, weights=(8, 2, 3, 1, 1, 1))[0]()


def put(dice: Dice, folder: Path, valid: str, sweeps: bool = False) -> Path:
    """Makes a hostile file, or what is none, in its place."""
    path = folder / "in" / f"{dice.randrange(10**9)}.yaml"
    odd = dice.random()
    if odd > 0.08:
        path.write_bytes(text_of(dice, folder, valid, sweeps))
    elif odd > 0.06:
        path.mkdir()
    elif odd > 0.04:
        os.mkfifo(path)
    elif odd > 0.03:
        path.write_bytes(dice.choice([b"#", b"a: [", b"x", b"\n", b"c,s\n"]) * (50_000_000 // 4))
    elif odd > 0.02:
        path.symlink_to(path)
    else:
        path = Path(
            dice.choice(["/dev/null", "/dev/zero", str(folder / "gone"), "/", "", "n" * 300])
        )
    return path


def words_of(dice: Dice, folder: Path) -> list[object]:
    """Returns a command with one hostile thing in it."""
    content, style, out = folder / "in" / "c.png", folder / "in" / "s.png", folder / "out"
    valid = dump_yaml(build({"weights": "random", "size": 16, "steps": 1}))
    grid: list[object] = ["grid", content, style]
    kind = dice.choices(range(6), weights=(8, 5, 3, 1, 1, 2))[0]
    if kind == 0:
        more = ["--size", "32"] if dice.random() < 0.2 else []
        words = [*grid, "--config", put(dice, folder, valid), *more]
    elif kind == 1:
        sides = [content, style] if dice.random() < 0.8 else []
        words = ["sweep", put(dice, folder, "axes: {seed: [1, 2]}\n" + valid, sweeps=True), *sides]
    elif kind == 2:
        said = ODD_YAML if dice.random() < 0.7 else (*BOMBS, *code(folder))
        words = [*grid, *(f"--set={name(dice)}={dice.choice(said)[:100_000]}" for _ in range(2))]
    elif kind == 3:
        share = dice.choice([*ODD_YAML, "nan", "inf", "0", "0.5"])[:100_000]
        words = ["run", content, f"--blend={style}={share}", f"--blend={content}"]
    elif kind == 4:
        colour = dice.choice([*ODD_YAML, "white", "#fff", "#12345", "rgb(1,2)", "hsl(nan,1%,1%)"])
        words = ["run", content, f"--region={colour[:100_000]}={style}", "--content-mask", content]
    else:
        words = [*grid, "--pairs", put(dice, folder, "content,style\nc,s\nc.png,s.png\n")]
    ends: list[object] = ["--out", out / "x.png" if words[0] == "run" else out, "--dry-run"]
    return [*words, *ends]


def shown(words: Sequence[object]) -> str:
    """Returns a command for a message, with the beginning of a file that it was given."""
    said = " ".join(str(word)[:300] for word in words)
    for word in words:
        if isinstance(word, Path) and word.suffix == ".yaml" and word.is_file():
            said += f"\n    {word.read_bytes()[:600]!r}"
    return said


def broken_sentence(words: Sequence[object], stderr: str, code: int) -> list[str]:
    """Returns what is wrong with what a command said: one sentence, not a long one."""
    if len(stderr) > LONGEST_MESSAGE:
        return [f"a message of {len(stderr)} characters, {stderr[:300]!r}: {shown(words)}"]
    if code == 2 and len(stderr.strip("\n").splitlines()) != 1:
        return [f"not one line, {stderr!r}: {shown(words)}"]
    return []


def attempt(rng: Dice, folder: Path, figures: Figures) -> list[str]:
    """Gives commands some hostile files and values each, and reads what they answer."""
    inputs = folder / "in"
    inputs.mkdir()
    Image.new("RGB", (20, 16), "teal").save(inputs / "c.png")
    Image.new("RGB", (16, 16), "tan").save(inputs / "s.png")
    broken: list[str] = []
    for _ in range(FILES):
        words = words_of(rng, folder)
        before: Any = listing(folder)
        done = nst(*words)
        figures["files"] += 1
        figures[f"exit code {done.returncode}"] += 1
        found = [line if len(line) < 4000 else line[-2000:] for line in broken_by(done, (0, 2))]
        found += broken_sentence(words, done.stderr, done.returncode)
        found += changed_outside(before, listing(folder))
        broken += [*found, shown(words)] if found else []
    return broken


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    main(attempt, "Settings files, sweep files, tables and settings that are hostile.")
