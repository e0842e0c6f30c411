"""The materials of a glTF: the texture of their base colour, and where its image is kept."""

import math
from dataclasses import dataclass

import numpy as np

from nst_lightning.mesh.bad_mesh import BadMesh
from nst_lightning.mesh.gltf_json import (
    Json,
    entry,
    member,
    number,
    numbers,
    objects,
    objects_below,
    whole,
)
from nst_lightning.mesh.placed_faces import Array

_WRAPS = {10497: "repeat", 33648: "mirror", 33071: "clamp"}
"""What the numbers of OpenGL that samplers hold are called here."""

_GLOSSY = "KHR_materials_pbrSpecularGlossiness"
_WEBP, _KTX2 = "EXT_texture_webp", "KHR_texture_basisu"
_TRANSFORM = "KHR_texture_transform"


@dataclass(frozen=True)
class BaseTexture:
    """The texture of a material's base colour.

    info: the JSON that refers to it.
    image: the index of its image.
    wrap: see `Texture`.
    uv_set: the number of the TEXCOORD attribute that goes with it.
    """

    info: Json
    image: int
    wrap: tuple[str, str]
    uv_set: int


def base_info(material: Json) -> Json | None:
    """Returns the JSON that refers to the texture of a material's base colour, None where it has
    none; of KHR_materials_pbrSpecularGlossiness it is the diffuse texture.

    Raises:
        BadMesh: the material is malformed.
    """
    metallic = member(material, "pbrMetallicRoughness")
    if "baseColorTexture" in metallic:
        return member(metallic, "baseColorTexture")
    glossy = member(material, "extensions", _GLOSSY)
    return member(glossy, "diffuseTexture") if "diffuseTexture" in glossy else None


def base_texture(root: Json, material: Json) -> BaseTexture | None:
    """Returns the texture of a material's base colour, None where it has none.

    Raises:
        BadMesh: the material is malformed, or its texture of a kind that is not supported.
    """
    info = base_info(material)
    if info is None:
        return None
    texture = entry(root, "textures", whole(info, "index"))
    sampler = entry(root, "samplers", whole(texture, "sampler")) if "sampler" in texture else {}
    wrap = tuple(_WRAPS.get(whole(sampler, key, 10497), "repeat") for key in ("wrapS", "wrapT"))
    transform = member(info, "extensions", _TRANSFORM)
    uv_set = whole(transform, "texCoord", whole(info, "texCoord", 0))
    image = image_of(texture)
    entry(root, "images", image)
    return BaseTexture(info, image, (wrap[0], wrap[1]), uv_set)


def image_of(texture: Json) -> int:
    """Returns the index of a texture's image.

    Raises:
        BadMesh: it has none that can be read.
    """
    extensions = member(texture, "extensions")
    if "source" in texture:
        return whole(texture, "source")
    if _WEBP in extensions:
        return whole(member(extensions, _WEBP), "source")
    if _KTX2 in extensions:
        raise BadMesh(
            "has a texture in KTX2, a format that is not supported; export it with PNG or JPEG."
        )
    raise BadMesh("has a texture without an image that can be read; export it with PNG or JPEG.")


def transformed(uv: Array, info: Json) -> Array:
    """Applies KHR_texture_transform to UVs (…, 2): scale, then rotation, then offset.

    A rotation by r takes (u, v) to (u cos r + v sin r, v cos r − u sin r), which is
    counter-clockwise where v points downwards.

    Raises:
        BadMesh: the transform is malformed.
    """
    given = member(info, "extensions", _TRANSFORM)
    angle = number(given, "rotation")
    cos, sin = math.cos(angle), math.sin(angle)
    scaled = uv * numbers(given, "scale", (1.0, 1.0))
    turned = scaled @ np.array([[cos, -sin], [sin, cos]])
    return np.asarray(turned + numbers(given, "offset", (0.0, 0.0)))


def infos_of_image(root: Json, image: int) -> list[Json]:
    """Returns all JSON in materials and extensions that refers to a texture with an image."""
    textures = {
        index
        for index, texture in enumerate(objects(root, "textures"))
        if image in _sources(texture)
    }
    return [
        info
        for key, info in objects_below({**root, "textures": []})
        if key.endswith("Texture") and _index(info) in textures
    ]


def _index(info: Json) -> int | None:
    found = info.get("index")
    return found if isinstance(found, int) else None


def _sources(texture: Json) -> list[int]:
    """Returns the images of a texture: its own, and those that extensions prefer."""
    owners = [texture, *member(texture, "extensions").values()]
    return [one["source"] for one in owners if isinstance(one, dict) and "source" in one]


def show_plain_image(texture: Json, image: int) -> None:
    """Has a texture show an image, and no longer one of a format that an extension brings."""
    texture["source"] = image
    extensions = member(texture, "extensions")
    for name in [name for name, one in extensions.items() if "source" in one]:
        del extensions[name]
    if "extensions" in texture and not extensions:
        del texture["extensions"]


def keep_to_one_use(root: Json, textures: list[BaseTexture], *, shared: bool) -> int:
    """Sees that an image has no other use than in given textures of base colours.

    Where it has, the materials get an image and textures of their own, appended to the JSON.

    Args:
        root: is changed.
        textures: all that faces show of one image and one wrap.
        shared: whether faces show the image with another wrap too.

    Returns:
        The index of the image that these materials, and no other uses, show.
    """
    image = textures[0].image
    bases = {id(base_info(material)) for material in objects(root, "materials")}
    if not shared and all(id(info) in bases for info in infos_of_image(root, image)):
        for texture in root["textures"]:
            if image in _sources(texture):
                show_plain_image(texture, image)
        return image
    images = root["images"]
    kept = {key: one for key, one in images[image].items() if key not in ("uri", "bufferView")}
    images.append(kept)
    copies: dict[int, int] = {}
    for one in textures:
        index = whole(one.info, "index")
        if index not in copies:
            copy = {**root["textures"][index]}
            if "extensions" in copy:
                copy["extensions"] = {**member(copy, "extensions")}
            show_plain_image(copy, len(images) - 1)
            root["textures"].append(copy)
            copies[index] = len(root["textures"]) - 1
        one.info["index"] = copies[index]
    return len(images) - 1
