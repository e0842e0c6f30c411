"""Which package indexes the user has set up, as `pip install` and `uv` would ask them."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pypi_simple import PYPI_SIMPLE_ENDPOINT

from nst_lightning.vgg.weight_cache import say


@dataclass(frozen=True)
class IndexSettings:
    """Which indexes to ask, in order, and how to reach them."""

    urls: tuple[str, ...]
    cert: str | None = None
    proxy: str | None = None
    trusted: tuple[str, ...] = ()


def read_settings() -> IndexSettings:
    """Returns the indexes that the environment and pip's configuration files name."""
    return index_settings(os.environ, file_options(os.environ))


def index_settings(environ: Mapping[str, str], options: Mapping[str, str]) -> IndexSettings:
    """Returns the indexes to ask.

    The environment wins over the options, for each setting on its own; without any the package's
    default index is asked. Local (`file:`) indexes are passed over.

    Args:
        environ: the environment.
        options: from `file_options`.
    """

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


def file_options(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the options of pip's configuration files as pip itself merges them; none without pip.

    Args:
        environ: the environment, in which PIP_CONFIG_FILE may name another file.
    """
    elsewhere = shutil.which("pip")
    if environ.get("PIP_CONFIG_FILE") == os.devnull:  # pip's way to say: no file at all
        return {}
    if find_spec("pip"):
        pip = [sys.executable, "-m", "pip"]
    elif elsewhere:
        pip = [elsewhere]
    else:
        return {}
    # Of pip's variables only this one matters: PIP_QUIET would keep the list from being shown.
    kept = {k: v for k, v in environ.items() if not k.startswith("PIP_") or k == "PIP_CONFIG_FILE"}
    listed = subprocess.run(
        [*pip, "config", "list"], env=kept, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        reason = " ".join(listed.stderr.split())
        say(f"pip's configuration cannot be understood and is passed over ({reason})")
        return {}
    return listed_options(listed.stdout)


def listed_options(text: str) -> dict[str, str]:
    """Reads the sections `global` and `install`, which wins, in the output of `pip config list`."""
    found = re.findall(r"^(global|install)\.([\w-]+)=(.*)$", text, flags=re.MULTILINE)
    return {name: ast.literal_eval(value) for _, name, value in sorted(found)}


def _links(text: str) -> list[str]:
    """Finds the http(s) addresses in a list of pip's or uv's (which allows `name=address`)."""
    plain = [re.sub(r"^[\w.-]+=(?=https?://)", "", word) for word in text.split()]
    return [word for word in plain if word.startswith(("http://", "https://"))]
