"""GLB, the binary container of glTF 2.0: a header of 12 bytes and chunks of a length, a name and
data, as the specification of glTF 2.0 says in its section 4."""

import struct

from nst_lightning.mesh.bad_mesh import BadMesh

MAGIC = b"glTF"
JSON = b"JSON"
BINARY = b"BIN\0"

Chunk = tuple[bytes, bytes]
"""A name of 4 bytes, and data."""


def split_glb(data: bytes) -> list[Chunk]:
    """Returns the chunks of a GLB.

    Raises:
        BadMesh: it is none, of another version, or cut short.
    """
    if len(data) < 12 or not data.startswith(MAGIC):
        raise BadMesh(
            "is not a GLB: it does not begin with glTF; give it the suffix of its format."
        )
    version, length = struct.unpack("<II", data[4:12])
    if version != 2:
        raise BadMesh(f"is a GLB of version {version}; only 2 can be read, so export it anew.")
    if length > len(data):
        raise BadMesh(
            f"is cut short: it should have {length} bytes and has {len(data)}; get a whole copy."
        )
    chunks, at = [], 12
    while at + 8 <= length:
        size, name = struct.unpack("<I4s", data[at : at + 8])
        at += 8
        if at + size > length:
            raise BadMesh("is damaged: a chunk reaches beyond its end; get a whole copy of it.")
        chunks.append((name, data[at : at + size]))
        at += size
    if not chunks or chunks[0][0] != JSON:
        raise BadMesh("is damaged: a GLB begins with a chunk of JSON; get a whole copy of it.")
    return chunks


def join_glb(chunks: list[Chunk]) -> bytes:
    """Returns the GLB of chunks, each filled up to a multiple of 4 bytes.

    Raises:
        BadMesh: it would have more than the 4 GiB that a GLB can have.
    """
    parts = []
    for name, data in chunks:
        filled = data + (b" " if name == JSON else b"\0") * (-len(data) % 4)
        parts += [struct.pack("<I4s", len(filled) % 2**32, name), filled]
    length = 12 + sum(map(len, parts))
    if length >= 2**32:
        raise BadMesh("would have more than 4 GiB, which a GLB cannot; make its textures smaller.")
    return b"".join([struct.pack("<4sII", MAGIC, 2, length), *parts])
