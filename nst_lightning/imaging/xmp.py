"""Text in an XMP packet, which JPEG, WebP and TIFF can hold. Imports no torch."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from PIL import ImageFile

from nst_lightning.errors import UserError
from nst_lightning.imaging.opening import opened

_PACKET = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:nst="urn:nst-lightning:"><nst:texts>{}</nst:texts></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""

_TEXTS = re.compile(rb"<nst:texts>([^<]*)</nst:texts>")


def packet(texts: Mapping[str, str]) -> bytes:
    """Texts by keyword → a packet of ASCII alone: as JSON, whose escapes hold what XML cannot."""
    return _PACKET.format(escape(json.dumps(dict(texts)))).encode("ascii")


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a JPEG, WebP or TIFF file; {} for any other, and for one that is cut short."""
    try:
        with opened(path, sys.maxsize) as image:  # no pixels are decoded
            found = image.info.get("xmp")
            return read_packet(found) if isinstance(found, bytes) and _whole(path, image) else {}
    except UserError:
        return {}


def _whole(path: Path, image: ImageFile.ImageFile) -> bool:
    """Whether a file has the end that its beginning promises."""
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
        data_end = max(map(sum, zip(tags[273], tags[279], strict=True)))
    return data_end <= size


def read_packet(data: bytes) -> dict[str, str]:
    """The texts of a packet that `packet` made; {} for any other."""
    found = _TEXTS.search(data)
    try:
        texts = json.loads(unescape(found[1].decode("ascii"))) if found else {}
    except ValueError:
        return {}
    if not isinstance(texts, dict):
        return {}
    return {str(keyword): text for keyword, text in texts.items() if isinstance(text, str)}
