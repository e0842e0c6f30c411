"""Which package indexes are asked: what the user has told pip and uv."""

import os
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from nst_lightning.vgg import index_settings as module
from nst_lightning.vgg.index_settings import (
    IndexSettings,
    file_options,
    index_settings,
    listed_options,
)

FILE = {"index-url": "https://file.example/simple"}


def test_without_any_setting_the_default_index_is_asked() -> None:
    assert index_settings({}, {}) == IndexSettings((PYPI_SIMPLE_ENDPOINT,))


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_each_variable_names_the_index_and_wins_over_files(variable: str) -> None:
    settings = index_settings({variable: "https://env.example/simple"}, FILE)
    assert settings.urls == ("https://env.example/simple",)


def test_an_empty_variable_counts_as_unset() -> None:
    assert index_settings({"PIP_INDEX_URL": ""}, FILE).urls == ("https://file.example/simple",)


def test_uv_may_name_its_indexes() -> None:
    settings = index_settings({"UV_DEFAULT_INDEX": "corp=https://a.example/s?x=1"}, {})
    assert settings.urls == ("https://a.example/s?x=1",)


def test_environment_wins_for_each_setting_on_its_own() -> None:
    options = {
        "index-url": "https://file.example/s",
        "extra-index-url": "https://fx.example/s",
        "cert": "/file.pem",
        "proxy": "http://proxy.example:3128",
    }
    environ = {"PIP_EXTRA_INDEX_URL": "https://ex.example/s", "PIP_CERT": "/env.pem"}
    settings = index_settings(environ, options)
    assert settings.urls == ("https://file.example/s", "https://ex.example/s")
    assert settings.cert == "/env.pem"
    assert settings.proxy == "http://proxy.example:3128"


def test_local_indexes_alone_leave_the_default() -> None:
    settings = index_settings({}, {"extra-index-url": "file:///opt/simple"})
    assert settings.urls == (PYPI_SIMPLE_ENDPOINT,)


def test_install_section_wins_over_global() -> None:
    listed = (
        ":env:.index-url='https://e.example/s'\nglobal.cert='/g.pem'\n"
        "install.index-url='https://i.example/s'\nglobal.index-url='https://g.example/s'\n"
    )
    assert listed_options(listed) == {"index-url": "https://i.example/s", "cert": "/g.pem"}


# --- the files, which pip itself reads


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and none of pip's variables set."""
    pytest.importorskip("pip", reason="this environment has no pip")
    for name in [name for name in os.environ if name.startswith(("PIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def conf(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_later_files_win_and_extra_indexes_follow(home: Path) -> None:
    conf(
        home / "etc" / "pip" / "pip.conf",
        "[global]\nindex-url = https://shared.example/simple\nof-its-own = here\n",
    )
    conf(
        home / ".pip" / "pip.conf",
        "[global]\nindex_url = https://user.example/simple\ncert = /user.pem\n"
        "trusted-host = a.example\n    b.example\n"
        "extra-index-url = file:///opt/simple\n    https://x.example/s https://y.example/s\n",
    )
    environ = {**os.environ, "XDG_CONFIG_DIRS": str(home / "etc"), "PIP_QUIET": "1"}
    options = file_options(environ)
    assert options["of-its-own"] == "here"
    settings = index_settings({}, options)
    assert settings.urls == (
        "https://user.example/simple",
        "https://x.example/s",
        "https://y.example/s",
    )
    assert settings.cert == "/user.pem"
    assert settings.trusted == ("a.example", "b.example")


def test_a_chosen_file_replaces_the_users_own(home: Path) -> None:
    conf(home / ".pip" / "pip.conf", "[global]\nproxy = http://user.example:1\n")
    chosen = conf(home / "chosen.conf", "[global]\nindex-url = https://chosen.example/s\n")
    options = file_options({**os.environ, "PIP_CONFIG_FILE": str(chosen)})
    assert options["index-url"] == "https://chosen.example/s"
    assert "user.example" not in options.get("proxy", "")
    assert file_options({**os.environ, "PIP_CONFIG_FILE": os.devnull}) == {}


def test_a_file_that_cannot_be_parsed_is_named_and_passed_over(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = conf(home / ".pip" / "pip.conf", "index-url = outside of any section\n")
    assert file_options(os.environ) == {}
    assert str(bad) in capsys.readouterr().err


def test_without_pip_the_environment_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert file_options(os.environ) == {}
