"""YAML that anybody may have written."""

import os
from pathlib import Path

import pytest
import yaml

from cli.options import assignment
from nst_lightning.errors import UserError
from nst_lightning.settings.text import LONGEST_YAML, load_yaml, merge, read_yaml

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

HOSTILE = {
    "a number that is none": "steps: 0x_",
    "a tag that does not fit": 'steps: !!int "abc"',
    "a date that is none": "seed: 2001-99-99",
    "nothing as a number": 'seed: !!int ""',
    "a flag that is none": "bounds: !!bool x",
    "a time that is none": "seed: !!timestamp x",
    "digits": f"seed: {'9' * 5000}",
    "brackets": f"steps: {'[' * 3000}{']' * 3000}",
    "braces": f"steps: {'{a: ' * 3000}{'}' * 3000}",
    "aliases in anchors": BOMB,
    "length": f"# {'x' * LONGEST_YAML}\nsteps: 3",
    "unclosed": "{steps: [",
    "a control character": "steps: \x01",
    "a character that is none": 'init: "\\U00110000"',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_yaml_is_one_sentence(what: str, tmp_path: Path):
    path = tmp_path / "settings.yaml"
    path.write_text(HOSTILE[what])
    with pytest.raises(UserError, match="is not valid YAML") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    assert "unicode string" not in str(caught.value)


def test_anchors_are_taken_where_they_do_no_harm():
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]")["b"] == {"x": 1, "y": 2}


@pytest.mark.parametrize("value", ["0x_", "2001-99-99", "[" * 3000, "9" * 5000])
def test_a_setting_on_the_command_line_that_is_no_yaml_is_text(value: str):
    assert assignment(f"init={value}") == ("init", value)


@pytest.mark.parametrize("text", ["3", "[1, 2]", "{a: 1e-3}", "", "null", "caf\u00e9"])
def test_all_else_is_what_yaml_says(text: str):
    assert load_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize("scales", [[], None, 3.5, [1], [{"size": 0}], {"size": 64}, "64:x"])
def test_a_size_over_scales_that_are_none_is_one_sentence(scales: object):
    with pytest.raises(UserError, match=r"scales|size|steps"):
        merge({"scales": scales}, {"size": 64})


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe: cannot be read as a settings file \(a pipe or a"):
        read_yaml(tmp_path / "pipe")


def test_a_device_without_an_end_is_not_read():
    with pytest.raises(UserError, match="name a file"):
        read_yaml(Path("/dev/zero"))


def test_no_more_is_read_than_settings_have(tmp_path: Path):
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="has more than"):
        read_yaml(path)
