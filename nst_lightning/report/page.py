"""HTML pages with their style, script and data inside, which open from disk. Imports no torch."""

import html
import json
import os
import re
from importlib.resources import files
from typing import Any
from urllib.parse import quote

_TITLE, _DATA = "<!-- title -->", "<!-- data -->"


def render(title: str, data: dict[str, Any], page: str = "gallery") -> str:
    """Returns a page with its style, its script and its data inside.

    The data is plain ASCII and holds no `<`, `>` or `&`, so nothing in it can end the script that
    carries it.

    Args:
        title: of the page.
        data: ready for JSON.
        page: the name of its parts. Links to the others stand in the HTML while it is worked on.
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    name = html.escape(title.encode("utf-8", "replace").decode("utf-8"))
    whole = read_part(f"{page}.html").replace(_TITLE, name)
    for link, tag, file in (
        (f'<link rel="stylesheet" href="{page}.css">', "style", f"{page}.css"),
        (f'<script src="{page}.js"></script>', "script", f"{page}.js"),
    ):
        whole = whole.replace(link, f"<{tag}>\n{read_part(file)}</{tag}>")
    before, after = whole.split(_DATA)
    return before + text + after


def read_part(name: str) -> str:
    """Reads a part of a page, which is installed beside this file."""
    return (files("nst_lightning.report") / name).read_text(encoding="utf-8")


def make_link(path: str) -> str:
    """Returns a path, relative to a page or absolute, as a link from it."""
    drive = re.match(r"[A-Za-z]:/", path)
    if drive:
        return "file:///" + drive[0] + quote(os.fsencode(path[3:]))
    return quote(os.fsencode(path))
