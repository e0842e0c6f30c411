"""Fetches one file from the Python package index the user has set up, without pip.

What `pip install` would ask is asked here too: the environment, then pip's configuration files.
Nothing fetched is run, and only bytes with the expected sha256 are accepted, so that asking
several indexes is safe.
"""

import configparser
import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import platformdirs
import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util import Retry

from nst_lightning.vgg.weight_cache import say

TIMEOUT = (5.0, 20.0)
"""Seconds to connect, and between two chunks: without a network the answer comes in seconds."""

ATTEMPTS = 2
"""Downloads that break off in the middle are begun again this often in all."""


class NotFetchedError(Exception):
    """No index had the file; the message names each one asked, with its reason."""


@dataclass(frozen=True)
class IndexSettings:
    """Which indexes to ask, in order, and how to reach them."""

    urls: tuple[str, ...]
    cert: str | None = None
    proxy: str | None = None
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexFile:
    """One file of one project on an index, known by its bytes."""

    project: str
    name: str
    size: int
    sha256: str


# --- what the user has set up


def configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Pip's configuration files on this platform, the one that wins last (they may not exist)."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:  # pip's way to say: no configuration file at all
        return []
    windows, mac = sys.platform == "win32", sys.platform == "darwin"
    name = "pip.ini" if windows else "pip.conf"
    shared = platformdirs.site_data_dir if mac else platformdirs.site_config_dir
    folders = [Path(p) for p in shared("pip", appauthor=False, multipath=True).split(os.pathsep)]
    if not (windows or mac):
        folders.append(Path("/etc"))
    if not (chosen and Path(chosen).exists()):  # a file chosen by hand replaces the user's own
        folders.append(Path.home() / ("pip" if windows else ".pip"))
        own = Path(platformdirs.user_config_dir("pip", appauthor=False, roaming=True))
        if mac and not own.is_dir():
            own = Path.home() / ".config" / "pip"
        folders.append(own)
    folders.append(Path(sys.prefix))
    files = [folder / name for folder in folders]
    return [*files, Path(chosen)] if chosen else files


def _configured(files: list[Path]) -> dict[str, str]:
    """Options of `[global]` and `[install]`, as pip merges them: later files win."""
    merged: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        except configparser.Error:
            say(f"pip's configuration file {path} cannot be understood and is passed over")
            continue
        for section, options in merged.items():
            if parser.has_section(section):
                for key, value in parser.items(section):
                    options[key.lower().replace("_", "-").removeprefix("--")] = value.strip()
    return {**merged["global"], **merged["install"]}


def _links(text: str) -> list[str]:
    """The http(s) addresses in a list as pip and uv write them (uv allows `name=address`)."""
    plain = [re.sub(r"^[\w.-]+=(?=https?://)", "", word) for word in text.split()]
    return [word for word in plain if word.startswith(("http://", "https://"))]


def read_settings(
    environ: Mapping[str, str] | None = None, files: list[Path] | None = None
) -> IndexSettings:
    """The indexes to ask, from the environment and pip's configuration files.

    The environment wins over the files, for each setting on its own; without any the package's
    default index is asked. Local (`file:`) indexes are passed over.
    """
    environ = os.environ if environ is None else environ
    options = _configured(configuration_files(environ) if files is None else files)

    def setting(name: str) -> str:
        variable = "PIP_" + name.upper().replace("-", "_")
        return environ.get(variable) or options.get(name) or ""

    main = [environ.get(v, "") for v in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")]
    mains = _links(" ".join(main)) or _links(options.get("index-url", ""))
    uv_extra = [environ.get(v, "") for v in ("UV_INDEX", "UV_EXTRA_INDEX_URL")]
    extras = _links(" ".join([setting("extra-index-url"), *uv_extra]))
    shared_certs = (
        environ.get(v) for v in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    )
    cert = setting("cert") or next(filter(None, shared_certs), None)
    return IndexSettings(
        urls=tuple(dict.fromkeys([*(mains or [PYPI_SIMPLE_ENDPOINT]), *extras])),
        cert=str(Path(cert).expanduser()) if cert else None,
        proxy=setting("proxy") or None,
        trusted=tuple(setting("trusted-host").split()),
    )


# --- asking


def fetch(wanted: IndexFile, settings: IndexSettings, label: str) -> bytes:
    """The bytes of a file, from the first index that has exactly these.

    Kept in memory (some 90 MB here), so that a kill leaves nothing on the disk.

    Raises:
        NotFetchedError: no index had it; its message names each with the reason.
    """
    if not sys.stderr.isatty():
        say(f"fetching {label}, {wanted.size / 1e6:.0f} MB, once")
    refusals = []
    for url in settings.urls:
        address = re.sub(r"//[^/]*@", "//", url)  # nobody's password is shown
        try:
            auth = _credentials(url)
            with PyPISimple(address, session=_session(settings, auth)) as client:
                return _from_index(client, wanted, label)
        except NoSuchProjectError:
            refusals.append(f"{address} (does not know {wanted.project})")
        except Exception as error:
            # Any answer at all may come from a mirror or a hotel's login page, so that the page's
            # parser may raise anything; whatever it is, the next index is asked.
            refusals.append(f"{address} ({_reason(error)})")
    raise NotFetchedError(", ".join(refusals))


def _from_index(client: PyPISimple, wanted: IndexFile, label: str) -> bytes:
    page = client.get_project_page(wanted.project, timeout=TIMEOUT)
    found = [package.url for package in page.packages if package.filename == wanted.name]
    if not found:
        raise _RefusedError(f"does not have {wanted.name}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _download(client.s, found[0], wanted, label)
        except requests.RequestException:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _download(session: requests.Session, url: str, wanted: IndexFile, label: str) -> bytes:
    data = bytearray()
    with (
        session.get(url, stream=True, timeout=TIMEOUT) as answer,
        _progress(label, wanted.size) as advance,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_content(1 << 18):
            data += chunk
            advance(len(chunk))
            if len(data) > wanted.size:
                break
    if hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise _RefusedError(f"sent other bytes as {wanted.name} than expected")
    return bytes(data)


@contextlib.contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on standard error when it is a terminal, else nothing."""
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


# --- reaching it


class _RefusedError(Exception):
    """The index answered, but not with the file."""


class _OneHostAuth(AuthBase):
    """Name and password for one host only: files may lie on another, which must not see them."""

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
    """The name and password that stand in an address. Raises ValueError when it is malformed."""
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
    """A few words for what went wrong."""
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
