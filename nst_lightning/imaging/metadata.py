"""What an image file says beside its pixels: its size and the texts in it.

Nothing here imports torch, and Pillow is imported when a file is opened, because
`nst-batch --help` needs neither.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, unescape

from nst_lightning.errors import UserError
from nst_lightning.formats import MAX_PIXELS, RESULT_FORMATS
from nst_lightning.imaging import png

if TYPE_CHECKING:
    from PIL import ImageFile

Exif = Mapping[int, Any]
"""Tag → value; under `IFD.Exif` and `IFD.GPSInfo` another such mapping."""

# An XMP packet, which JPEG, WebP and TIFF can hold.
_PACKET = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:nst="urn:nst-lightning:"><nst:texts>{}</nst:texts></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_TEXTS = re.compile(rb"<nst:texts>([^<]*)</nst:texts>")


@dataclass(frozen=True)
class Metadata:
    """What a file is to hold beside its pixels."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """By keyword of 1 to 79 printable Latin-1 characters."""
    exif: Exif = field(default_factory=dict)
    profile: bytes = b""
    """The colour profile; without one a PNG says in another way that it is sRGB."""


def image_size(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Returns the (height, width) of an upright image without decoding its pixels.

    Raises:
        UserError: the file is not an image that can be read, or has more than `max_pixels` or than
            the memory holds.
    """
    from nst_lightning.imaging.bands import check_readable
    from nst_lightning.imaging.opening import opened, upright_size

    with opened(path, max_pixels) as image:
        check_readable(path, image, max_pixels)
        return upright_size(image)


def read_metadata(path: Path | str) -> dict[str, str]:
    """Returns the texts of an image by keyword: the text chunks of a PNG, or what `xmp_packet` put
    into another format; {} for any other file, and for one that is not whole."""
    path = Path(path)
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            if file.read(8) == png.SIGNATURE:
                return png.texts(file)
    except (OSError, ValueError):
        return {}
    return _xmp_texts(path)


def xmp_packet(texts: Mapping[str, str]) -> bytes:
    """Returns texts by keyword as ASCII: as JSON, whose escapes hold what XML cannot."""
    return _PACKET.format(escape(json.dumps(dict(texts)))).encode("ascii")


def has_room(format: str, texts: Mapping[str, str]) -> bool:
    """Returns whether a file of a result format can hold these texts."""
    room = RESULT_FORMATS[format].text_bytes
    return room is None or len(xmp_packet(texts)) <= room


def _xmp_texts(path: Path) -> dict[str, str]:
    from nst_lightning.imaging.opening import opened

    try:
        with opened(path, sys.maxsize) as image:  # no pixels are decoded
            packet = image.info.get("xmp")
            found = _TEXTS.search(packet) if isinstance(packet, bytes) else None
            texts = json.loads(unescape(found[1].decode("ascii"))) if found else {}
            if not isinstance(texts, dict) or not _is_whole(path, image):
                return {}
    except (UserError, ValueError):
        return {}
    return {str(keyword): text for keyword, text in texts.items() if isinstance(text, str)}


def _is_whole(path: Path, image: "ImageFile.ImageFile") -> bool:
    """Returns whether a file has the end that its beginning promises."""
    data_end = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        if image.format == "JPEG":
            file.seek(-2, 2)
            return file.read(2) == b"\xff\xd9"
        if image.format == "WEBP":
            data_end = 8 + int.from_bytes(file.read(8)[4:], "little")
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        where = (324, 325) if 324 in tags else (273, 279)  # tiles, or strips
        data_end = max(map(sum, zip(*(tags[tag] for tag in where), strict=True)))
    return data_end <= size
