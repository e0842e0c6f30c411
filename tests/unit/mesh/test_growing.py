"""What lies beside an island gets the colour of its nearest texel."""

import math

import torch

from nst_lightning.mesh.growing import GROWN, grow


def test_texels_beside_islands_get_the_nearest_ones_colour():
    kept = torch.zeros(40, 50, dtype=torch.bool)
    kept[3:8, 5:20] = kept[25, 40] = True
    texels = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    grown = grow(texels, kept)
    islands = kept.nonzero().tolist()
    for y in range(40):
        for x in range(50):
            far = min(math.dist((y, x), island) for island in islands)
            found = grown[:, :, y, x]
            if far > GROWN:
                assert torch.equal(found, texels[:, :, y, x])
            else:
                nearest = [each for each in islands if math.dist((y, x), each) == far]
                assert any(torch.equal(found, texels[:, :, a, b]) for a, b in nearest)
    assert torch.equal(grown[..., kept], texels[..., kept])


def test_as_far_as_is_said_and_not_at_all_without_an_island():
    texels, none = torch.rand(3, 1, 9), torch.zeros(1, 9, dtype=torch.bool)
    assert torch.equal(grow(texels, none), texels)
    kept = none.clone()
    kept[0, 4] = True
    grown = grow(texels, kept, by=2)
    assert (grown[:, 0, 2:7] == texels[:, 0, 4:5]).all()
    assert torch.equal(grown[:, 0, [0, 1, 7, 8]], texels[:, 0, [0, 1, 7, 8]])
