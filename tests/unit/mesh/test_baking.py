"""Colours of vertices, painted into a texture: against a loop over all texels and faces."""

import numpy as np
import pytest
import torch

from nst_lightning.mesh.baking import bake
from nst_lightning.mesh.growing import GROWN


def literally(uv: np.ndarray, colours: np.ndarray, height: int, width: int) -> np.ndarray:
    """The colour of each texel by the face that its middle lies in; NaN where there is none."""
    image = np.full((height, width, 3), np.nan)
    for triangle, shades in zip(uv, colours, strict=True):
        matrix = np.vstack([triangle.T, np.ones(3)])
        for y in range(height):
            for x in range(width):
                point = [(x + 0.5) / width, (y + 0.5) / height, 1]
                shares = np.linalg.solve(matrix, point)
                if (shares >= 0).all():
                    image[y, x] = shares @ shades
    return image


def test_each_texel_has_the_colour_of_its_face():
    rng = np.random.default_rng(5)
    uv = rng.uniform(-0.2, 1.2, (6, 3, 2))
    colours = rng.uniform(size=(6, 3, 3))
    expected = literally(uv, colours, 20, 30)
    image = bake(uv, colours, (20, 30))
    assert image.shape == (3, 20, 30)
    assert image.dtype == torch.float32
    inside = ~np.isnan(expected[..., 0])
    assert 0.1 < inside.mean() < 1
    found = image.permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


def test_what_is_painted_grows_beyond_its_borders():
    corner = np.array([[[0.0, 0.0], [0.25, 0.0], [0.0, 0.25]]])
    image = bake(corner, np.full((1, 3, 3), (0.5, 0.25, 1.0)), (100, 100))
    assert image[:, 0, 24 + GROWN].tolist() == pytest.approx([0.5, 0.25, 1])
    assert torch.allclose(image, torch.tensor([0.5, 0.25, 1.0])[:, None, None])


def test_the_nearest_faces_colour_comes_first():
    left = [[0.0, 0.0], [0.2, 0.0], [0.0, 1.0]]
    right = [[1.0, 0.0], [1.0, 1.0], [0.8, 0.0]]
    colours = np.array([[[1.0, 0, 0]] * 3, [[0, 0, 1.0]] * 3])
    image = bake(np.array([left, right]), colours, (50, 50))
    assert image[:, 2, 15].tolist() == [1, 0, 0]
    assert image[:, 2, 35].tolist() == [0, 0, 1]
    assert image[:, 49, 20].tolist() == pytest.approx([0.5, 0, 0.5])  # too far from both


def test_faces_that_meet_no_texel_still_give_their_colour():
    uv = np.full((1, 3, 2), 0.3)
    assert (bake(uv, np.full((1, 3, 3), 0.25), (8, 8)) == 0.25).all()
