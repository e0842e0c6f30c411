"""Images in memory, each under a name that stands where the path of a file does."""

import hashlib
import os
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nst_lightning.errors import UserError
from nst_lightning.imaging.decoding import decode_image
from nst_lightning.imaging.image_reader import ImageReader
from nst_lightning.imaging.mask import LOSSY_FORMATS, Mask, find_regions
from nst_lightning.imaging.reading import LoadedImage, resized, to_tensors

AnyImage = str | os.PathLike[str] | Image.Image | Tensor
"""A file's path, a Pillow image, or a tensor (see `from_tensor`)."""

NEAR = 1e-3
"""How far beyond [0, 1] the values of a tensor may be, by rounding."""


class ImagesInMemory(ImageReader):
    """Knows images in memory by names of their own, and reads all others from their files."""

    def __init__(self, max_pixels: int) -> None:
        super().__init__(max_pixels)
        self.images: dict[Path, LoadedImage] = {}
        self.lossy: set[Path] = set()

    def add(self, image: AnyImage, name: str) -> Path:
        """Returns the path under which an image can be asked for: a file's own, or one that says
        what it is, such as `content (tensor)`.

        Args:
            image: is not changed.
            name: what messages call it, each image another.

        Raises:
            UserError: it is no image, or none that can be read.
        """
        if isinstance(image, Image.Image):
            path = Path(f"{name} (PIL image)")
            decoded = decode_image(image, str(path), max_pixels=self.max_pixels)
            self.images[path] = to_tensors(decoded, path)
            if image.format in LOSSY_FORMATS:
                self.lossy.add(path)
        elif isinstance(image, Tensor):
            path = Path(f"{name} (tensor)")
            self.images[path] = from_tensor(image, str(path))
        elif isinstance(image, (str, os.PathLike)):
            path = Path(image)
        else:
            raise UserError(
                f"{name}: should be a path, a PIL image or a tensor, not {type(image).__name__}; "
                "PIL.Image.fromarray makes an image of a numpy array."
            )
        return path

    def size(self, path: Path) -> tuple[int, int]:
        if path not in self.images:
            return super().size(path)
        height, width = self.images[path].rgb.shape[-2:]
        return height, width

    def image(self, path: Path) -> LoadedImage:
        return self.images[path] if path in self.images else super().image(path)

    def resized(self, path: Path, height: int, width: int, *, how: str = "bicubic") -> LoadedImage:
        if path not in self.images:
            return super().resized(path, height, width, how=how)
        return resized(self.images[path], height, width, how=how)

    def mask(self, path: Path) -> Mask:
        if path not in self.images:
            return super().mask(path)
        return find_regions(self.images[path], path, lossy=path in self.lossy)

    def sha256(self, path: Path) -> str | None:
        """Returns the sha256 of the pixels of an image in memory, whatever it was given as; None
        for a file."""
        if path not in self.images:
            return None
        image = self.images[path]
        digest = hashlib.sha256(repr(tuple(image.rgb.shape)).encode())
        for part in (image.rgb, image.alpha):
            if part is not None:
                digest.update(part.numpy().tobytes())
        return digest.hexdigest()


def from_tensor(image: Tensor, name: str) -> LoadedImage:
    """Converts a tensor to an image, in sRGB.

    Args:
        image: (C, H, W) or (1, C, H, W) on any device: floats in [0, 1], or uint8 of 0 to 255. C is
            3 for RGB, 4 with alpha, 1 for gray.
        name: what messages call it.

    Raises:
        UserError: another shape, dtype or range, or not finite.
    """
    shape = tuple(image.shape)
    if image.ndim == 4 and len(image) > 1:
        raise UserError(
            f"{name}: is a batch of {len(image)} images; give one at a time, or use StyleTransfer, "
            "which draws batches."
        )
    if image.ndim == 4 and 0 not in shape:
        image = image[0]
    if image.ndim != 3 or len(image) not in (1, 3, 4) or 0 in shape:
        raise UserError(
            f"{name}: should be (C, H, W) or (1, C, H, W) with 1, 3 or 4 channels, not {shape}."
        )
    if not image.is_floating_point() and image.dtype != torch.uint8:
        raise UserError(f"{name}: should hold floats in [0, 1] or uint8, not {image.dtype}.")
    # A clone is an ordinary tensor, though the image be made under `torch.inference_mode`.
    values = image.detach().to("cpu", torch.float32, copy=True)[None]
    if image.dtype == torch.uint8:
        values = values / 255
    if not bool(values.isfinite().all()):
        raise UserError(f"{name}: holds values that are not finite numbers (NaN or infinity).")
    low, high = float(values.min()), float(values.max())
    if low < -NEAR or high > 1 + NEAR:
        raise UserError(
            f"{name}: holds values from {low:.3g} to {high:.3g} and should hold floats in [0, 1]; "
            "divide them by their white, or clamp them."
        )
    values = values.clamp(0, 1)
    alpha = values[:, 3:].contiguous() if values.shape[1] == 4 else None
    if alpha is not None and bool((alpha == 1).all()):
        alpha = None
    return LoadedImage(values[:, :3].expand(1, 3, -1, -1).contiguous(), alpha)
