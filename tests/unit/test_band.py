"""Bands of an image: that they make it up at every depth; tests/long/test_split.py computes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nst_lightning.band import ROWS, Band


@given(st.integers(ROWS * 8, 3000), st.integers(16, 400), st.integers(1, 8), st.integers(0, 5))
def test_bands_make_up_the_image(height: int, width: int, size: int, depth: int):
    bands = [Band(rank, size, (height, width)).at(depth) for rank in range(size)]
    assert bands[0].top == 0
    assert bands[-1].bottom == height >> depth
    for above, below in itertools.pairwise(bands):
        assert above.bottom == below.top
        assert below.top % 2 == 0 or depth == 5
    assert all(band.shape[1] == width >> depth for band in bands)
    rows = [band.shape[0] for band in bands]
    assert min(rows) > 0
    assert max(rows) - min(rows) <= 2 * (ROWS >> depth)


@given(st.integers(ROWS * 4, 900), st.integers(2, 4))
def test_what_a_pooling_leaves_is_the_next_band(height: int, size: int):
    for rank in range(size):
        band = Band(rank, size, (height, 64))
        for depth in range(4):
            assert band.at(depth).halved() == band.at(depth + 1)
