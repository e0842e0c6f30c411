"""Images of textures: bytes to tensors and back."""

from torch import Tensor

from nst_lightning.imaging.decoding import decode_opened
from nst_lightning.imaging.encoding import encode_image
from nst_lightning.imaging.opening import opened_bytes
from nst_lightning.imaging.reading import LoadedImage, to_tensors
from nst_lightning.imaging.resize import resize
from nst_lightning.imaging.writing import to_pillow
from nst_lightning.mesh.bad_mesh import BadMesh

_KTX = b"\xabKTX "


def decode_texture(
    data: bytes, name: str, *, max_pixels: int, with_profile: bool = True
) -> LoadedImage:
    """Decodes the image of a texture.

    Args:
        data: the bytes of a file in one of `FORMATS`.
        name: what messages call it.
        max_pixels: an image of more is refused.
        with_profile: whether an embedded colour profile counts; in glTF it does not.

    Raises:
        BadMesh: it is a KTX texture.
        UserError: it cannot be read as an image; the message begins with `name`.
    """
    if data.startswith(_KTX):
        raise BadMesh(
            "has a texture in KTX2, a format that is not supported; export it with PNG or JPEG."
        )
    with opened_bytes(data, name, max_pixels) as image:
        if not with_profile:
            image.info.pop("icc_profile", None)
        return to_tensors(decode_opened(image, name, max_pixels), name)


def encode_texture(image: Tensor, alpha: Tensor | None) -> bytes:
    """Returns the bytes of a PNG of 8 bits.

    Args:
        image: (3, h, w), values in [0, 1].
        alpha: (1, H, W) likewise, which is brought to the image's size; None for an opaque one.
    """
    if alpha is not None and alpha.shape[-2:] != image.shape[-2:]:
        alpha = resize(alpha[None], image.shape[-2], image.shape[-1])[0].clamp(0, 1)
    pillow = to_pillow(image, alpha)
    pillow.info.pop("icc_profile")  # sRGB is what all of these formats take an image to be
    return encode_image(pillow, "PNG")
