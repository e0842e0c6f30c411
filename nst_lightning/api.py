"""What the command line does, as one call."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import lightning as L
import torch
from PIL import Image
from torch import Tensor

from nst_lightning.callbacks.progress import Progress
from nst_lightning.errors import UserError
from nst_lightning.files import file_sha256, home_expanded
from nst_lightning.grid.clips import container_of
from nst_lightning.grid.given_images import Masks, Styles, read_pair, read_styles, style_parts
from nst_lightning.grid.pairs import Pair
from nst_lightning.imaging.in_memory import AnyImage, ImagesInMemory
from nst_lightning.imaging.writing import to_pillow
from nst_lightning.run.batch_run import BatchRun
from nst_lightning.run.devices import choose_device, resolve
from nst_lightning.run.display import Losses
from nst_lightning.run.guest import interruptible, on_its_own
from nst_lightning.run.make_batch import make_batch, make_inputs
from nst_lightning.run.outcome import Stylised, explain_divergence
from nst_lightning.run.prepare import check_start
from nst_lightning.run.result_file import finish_image
from nst_lightning.settings import BatchSettings, build, knob_of, merge
from nst_lightning.settings.presets import read_preset
from nst_lightning.store.fingerprint import content_sha256, style_sha256
from nst_lightning.store.job import Job
from nst_lightning.vgg.weights import Weights, load_weights

if TYPE_CHECKING:
    from nst_lightning.mesh.mesh_file import MeshFile

Report: TypeAlias = Callable[[int, int, Losses], object]
"""Takes the number of steps made, that of all steps, and a function that returns the loss terms by
name, which waits for the device."""

APPLY = (
    "accelerator", "compile", "recompute", "tile", "history", "max_pixels", "finish", "dither"
)  # fmt: skip
"""The settings of running and writing that say something of one image in memory; those that decide
pixels all do."""

OF_FILMS = ("codec", "film_quality", "frame_rate", "keep_frames", "preview_every")
"""Those that say something of one film besides."""


@overload
def stylize(
    content: AnyImage,
    style: Styles | None = None,
    *,
    regions: Mapping[str, AnyImage] | None = None,
    content_mask: AnyImage | None = None,
    style_mask: Masks = None,
    preset: str | None = None,
    init: AnyImage | None = None,
    progress: Report | None = None,
    output: Literal["pil"] = "pil",
    **settings: Any,
) -> Image.Image: ...
@overload
def stylize(
    content: AnyImage,
    style: Styles | None = None,
    *,
    output: Literal["tensor"],
    **others: Any,
) -> Tensor: ...
def stylize(
    content: AnyImage,
    style: Styles | None = None,
    *,
    regions: Mapping[str, AnyImage] | None = None,
    content_mask: AnyImage | None = None,
    style_mask: Masks = None,
    preset: str | None = None,
    init: AnyImage | None = None,
    progress: Report | None = None,
    output: Literal["pil", "tensor"] = "pil",
    **settings: Any,
) -> Image.Image | Tensor:
    """Stylises one image, as `nst-batch run` does: coarse to fine, with any setting by name.

    From the same files it makes the same pixels. An image in memory is decoded as its file would
    be (EXIF orientation, colour profile, transparency), but a noise start comes from its pixels
    instead of its file's bytes, and so is another. The network's weights stay in memory for the
    next call. The caller's random state, gradients, autocast and default device are left alone.

    Args:
        content: the photograph: a path, a PIL image, or a tensor of (C, H, W) or (1, C, H, W) with
            floats in [0, 1] or uint8, of 3 channels, 1 for gray or 4 with alpha.
        style: the painting, likewise; or a list of several, in equal shares; or with their shares,
            as a list of (painting, share) or a dict of paths.
        regions: instead of `style`, the painting for each region of the content's mask, by its
            colour: a grey level ("255"), a name ("white") or "#rrggbb".
        content_mask: an image whose flat colours are the regions of the content.
        style_mask: likewise for the style; for several styles a list, with None where one has no
            mask.
        preset: the name of a preset, over which the settings win; what it says about files counts
            for `nst-batch` alone.
        init: where to start: "content", "noise", "gray", "style", or an image.
        progress: is called after every step with the number of steps made, that of all, and a
            function that returns the loss terms by name, for which it waits for the device. An
            exception that it raises ends the call.
        output: "pil" for a PIL image of 8 bits a channel, "tensor" for float32 in [0, 1] on the
            CPU, not rounded.
        settings: any setting that decides pixels by its name in `nst-batch presets default`, such
            as `size`, `steps`, `style_weight`, `precision`; and `accelerator`, `compile`,
            `recompute`, `tile`, `history`, `max_pixels`, `finish`, `dither`.

    Returns:
        The image, of mode RGB or (3, H, W); where the content has transparency of mode RGBA or
        (4, H, W).

    Raises:
        UserError: an image that cannot be read, a setting that cannot be or does not apply, inputs
            that contradict each other, or a loss that is no longer a finite number.
        torch.OutOfMemoryError: a smaller `size` or `recompute=True` may do.
    """
    if output not in ("pil", "tensor"):
        raise UserError(f"output should be 'pil' or 'tensor', not {output!r}.")
    if progress is not None and not callable(progress):
        raise UserError("progress should be a function of step, all steps and losses.")
    if regions is not None and not isinstance(regions, Mapping):
        raise UserError("regions should map colours to paintings, such as {'white': 'wave.jpg'}.")
    asked = read_settings(preset, settings, output)
    device = choose_device(asked.accelerator)
    if device.type == "cuda":  # the caller's, in a process with one of several
        device = torch.device("cuda", torch.cuda.current_device())
    with on_its_own(device), interruptible():
        images = ImagesInMemory(asked.max_pixels)
        chosen = resolve(with_start(asked, init, images), device)
        pair = read_pair(content, style, regions, content_mask, style_mask, images)
        made = make_one(pair, chosen, device, images, progress)
        image, alpha = finish_image(made.image, made.alpha, pair.content.path, chosen, images)
        if output == "pil":
            return to_pillow(image, alpha, dither=chosen.dither)
        return (image if alpha is None else torch.cat([image, alpha[0]])).float()


@dataclass(frozen=True)
class StylizedMesh:
    """A mesh with new textures.

    textures: (3, h, w) in [0, 1], float32 on the CPU, in the order of the materials of its file
        that show one.
    mesh: as it was read.
    """

    textures: list[Tensor]
    mesh: "MeshFile"

    def save(self, path: Path | str) -> None:
        """Writes the mesh as it was but for its textures, with the files that belong to it.

        Args:
            path: with the suffix of the mesh that it was made from.

        Raises:
            UserError: the suffix is another one, or a GLB would become too large.
            OSError: a file cannot be written.
        """
        from nst_lightning.mesh.mesh_formats import write_mesh

        write_mesh(self.mesh, self.textures, path)


def stylize_mesh(
    model: Path | str,
    style: Styles,
    *,
    out: Path | str | None = None,
    preset: str | None = None,
    progress: Report | None = None,
    **settings: Any,
) -> StylizedMesh:
    """Paints a mesh in a style, as `nst-batch mesh` does: its textures anew, all else as it was.

    Args:
        model: a GLB, glTF, OBJ or PLY.
        style: the painting, or several, as for `stylize`.
        out: the file that gets the mesh, if any, with the suffix of the model.
        preset: as for `stylize`, like the others.
        progress: see there.
        settings: those of `stylize` that go with meshes, and `views`, `view_sets`,
            `texture_size`, and `view_size`, another name for `size`; by default `size` is 192, and
            there are 120 steps at two scales, each with four sets of views.

    Raises:
        UserError: as `stylize`; a mesh that cannot be used, settings that do not go with meshes, or
            packages that are missing.
        OSError: the file cannot be written.
        torch.OutOfMemoryError: a smaller `view_size` or `recompute=True` may do.
    """
    from nst_lightning.grid.models import USUAL_MESH, check_for_meshes, read_model

    if progress is not None and not callable(progress):
        raise UserError("progress should be a function of step, all steps and losses.")
    if "view_size" in settings:
        if "size" in settings or "scales" in settings:
            raise UserError("view_size is another name for size: give one of them.")
        settings["size"] = settings.pop("view_size")
    asked = read_settings(preset, settings, "pil", USUAL_MESH)
    check_for_meshes(asked)
    device = choose_device(asked.accelerator)
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
    with on_its_own(device), interruptible():
        images = ImagesInMemory(asked.max_pixels)
        check_start(asked, images)
        chosen = resolve(asked, device)
        content = read_model(Path(model), Path(model).stem, chosen)
        pair = Pair(content, read_styles(style, None, images), "")
        if pair.problem:
            raise UserError(pair.problem)
        made = make_one(pair, chosen, device, images, progress)
        assert made.viewed is not None
        filled = made.viewed.filled(made.image[None].float())
        textures = made.viewed.textures(filled, chosen.resampling)
    painted = StylizedMesh(textures, made.viewed.mesh)
    if out is not None:
        painted.save(out)
    return painted


def stylize_video(
    clip: Path | str,
    style: Styles,
    out: Path | str,
    *,
    content_masks: Path | str | None = None,
    style_mask: Masks = None,
    preset: str | None = None,
    progress: Report | None = None,
    **settings: Any,
) -> Path:
    """Paints a film in a style, as `nst-batch video` does: without flicker, its sound as it was.

    An interrupted film goes on when the same is called again: its frames are kept in the folder
    `.nst` beside it until it is whole. A film that was made before is not made again.

    Args:
        clip: a film, or a folder of numbered frames.
        style: the painting, or several as for `stylize`; their paths.
        out: the file that gets the film, whose suffix, .mp4, .mov, .mkv or .webm, says its format.
        content_masks: a folder with an image for each frame, in order of their numbers, whose flat
            colours are its regions.
        style_mask: the path of the regions of the painting; for several a list.
        preset: as for `stylize`, like the others.
        progress: see there; the steps are those of all frames that are not there yet.
        settings: those of `stylize` that go with films, and `frame_steps`, `segment`, `codec`,
            `film_quality`, `frame_rate`, `keep_frames` and `preview_every`.

    Returns:
        The path of the film.

    Raises:
        UserError: as `stylize`; a film that cannot be read or written, settings that do not go with
            films, packages that are missing, or another file that is in the way.
    """
    from nst_lightning.run.one_film import make_film

    if progress is not None and not callable(progress):
        raise UserError("progress should be a function of step, all steps and losses.")
    file = Path(out)
    container = container_of(file)
    if "container" in settings:
        raise UserError("container is what the name of the file says: leave it out.")
    if style_mask is not None and content_masks is None:
        raise UserError("style_mask needs the regions of the film: give content_masks.")
    masks = None if content_masks is None else Path(content_masks)
    if masks is not None and not masks.is_dir():
        raise UserError(f"content_masks {masks}: there is no such folder.")
    parts = style_parts(style, style_mask)
    given = [painting for painting, _, _ in parts]
    given += [mask for _, _, mask in parts if mask is not None]
    if not all(isinstance(one, (str, os.PathLike)) for one in given):
        raise UserError("the paintings of a film and their masks are files: give their paths.")
    usual = {"container": container, "devices": 1}
    asked = read_settings(preset, settings, "pil", usual, apply=(*APPLY, *OF_FILMS))
    painting = read_styles(style, style_mask, ImagesInMemory(asked.max_pixels))
    with on_its_own(choose_device(asked.accelerator)), interruptible():
        make_film(Path(clip), painting, file, asked, progress or (lambda *step: None), masks)
    return file


def read_settings(
    preset: str | None,
    settings: Mapping[str, Any],
    output: Literal["pil", "tensor"],
    usual: Mapping[str, Any] = MappingProxyType({}),
    apply: Collection[str] = APPLY,
) -> BatchSettings:
    """Returns the settings of a call, over those that are usual for it.

    Args:
        preset: its name, or None.
        settings: that the call names.
        output: what is returned.
        usual: settings that are not said.
        apply: the settings of running and writing that say something of the call.

    Raises:
        UserError: no such preset or setting, one that says nothing of an image in memory, or a
            value that cannot be.
    """
    apart = {
        name
        for name, field in BatchSettings.model_fields.items()
        if knob_of(field).touches != "pixels" and name not in apply
    }
    for name in settings:
        if name in apart:
            raise UserError(
                f"{name} is for `nst-batch`, which makes many images and writes files, and says "
                "nothing of one: leave it out."
            )
    if output == "tensor" and settings.get("dither"):
        raise UserError("dither is a way to round, and a tensor is not rounded: leave it out.")
    known = read_preset(preset) if preset else {}
    given = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in settings.items()
    }
    return build(merge(usual, {k: v for k, v in known.items() if k not in apart}, given))


def with_start(
    settings: BatchSettings, init: AnyImage | None, images: ImagesInMemory
) -> BatchSettings:
    """Returns settings whose `init` is the start of a call: a name, or an image that can be read.

    Raises:
        UserError: it is neither.
    """
    if init is None:
        return settings
    if not isinstance(init, (str, os.PathLike)):
        return settings.model_copy(update={"init": str(images.add(init, "init"))})
    settings = settings.model_copy(update={"init": os.fspath(init)})
    check_start(settings, images)
    return settings


def make_one(
    pair: Pair,
    settings: BatchSettings,
    device: torch.device,
    images: ImagesInMemory,
    progress: Report | None,
) -> Stylised:
    """Makes the image of a pair.

    Args:
        pair: with images that can be read.
        settings: with what each `auto` means on this device.
        device: where it is made.
        images: that the pair is made of.
        progress: is told of every step.

    Raises:
        UserError: a painting too small for the network, or a loss that is no finite number.
    """

    def sha256(path: Path) -> str:
        return images.sha256(path) or file_sha256(path)

    identity = content_sha256(pair.content, sha256), style_sha256(pair.style, sha256)
    batch = BatchRun([Job(pair, *identity, "")], settings, None)

    def callbacks() -> list[L.Callback]:
        def report(step: int, losses: Losses) -> None:
            if progress is not None:
                progress(step, settings.total_steps, losses)

        return [Progress(report, batch.progress().offset)]

    weights = shared_weights(*settings.network_weights)
    (made,) = make_batch(make_inputs(settings, weights, device, images), batch, callbacks)
    if made.diverged_at:
        raise UserError(f"{explain_divergence(made)}.")
    return made


def shared_weights(source: str, network: str, weights_input: str) -> Weights:
    """Returns a network's weights, which stay in memory (80 MB) until those of two others are
    asked for; a file that has changed is read again."""
    path = home_expanded(source)
    now = (path.resolve(), path.stat().st_mtime_ns) if path.is_file() else ()
    return _weights(source, network, weights_input, now)


@lru_cache(maxsize=2)
def _weights(source: str, network: str, weights_input: str, now: tuple[object, ...]) -> Weights:
    return load_weights(source, network, weights_input)
