"""Parts of a whole: that they make it up, and what is cut out of it and put back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nst_lightning.windows import Window, cuts, spans, tiles


@given(st.integers(1, 300), st.integers(1, 60))
def test_parts_make_up_the_whole(length: int, count: int):
    parts = spans(length, min(count, math.ceil(length / 2)))
    assert [first for first, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == length
    assert all(end % 2 == 0 for _, end in parts[:-1])
    sizes = [end - first for first, end in parts]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 3


@given(st.integers(1, 200), st.integers(1, 200), st.integers(2, 60), st.integers(0, 8))
def test_no_part_is_larger_than_asked(height: int, width: int, half: int, margin: int):
    side = 2 * half
    parts = list(tiles(Window.all_of(height, width), side, margin))
    assert all(math.prod(part.shape) <= side * side for part in parts)
    assert sum(part.share for part in parts) == pytest.approx(1)
    assert all(part.top % 2 == part.left % 2 == 0 for part in parts)


def test_the_cut_with_the_least_margin_is_taken():
    assert cuts(256, 256, 182, 8) == (1, 2)
    assert cuts(512, 512, 256, 8) == (2, 2)
    assert cuts(100, 1000, 200, 4) == (1, 3)


def test_no_side_is_the_whole():
    (window,) = tiles(Window.all_of(5, 8), None)
    assert window.is_all
    assert window == Window.all_of(5, 8)


def test_a_window_grows_within_the_whole():
    window = Window(4, 0, 8, 6, (9, 7))
    assert window.grown(2) == Window(2, 0, 9, 7, (9, 7))
    assert window.halved() == Window(2, 0, 4, 3, (4, 3))
    assert window.share == pytest.approx(24 / 63)


def test_what_is_cut_and_put_back_is_as_before():
    x = torch.rand(2, 3, 11, 14).to(memory_format=torch.channels_last)
    whole = None
    for window in tiles(Window.all_of(11, 14), 4):
        around = window.grown(3)
        part = window.cut(around.cut(x), around)
        assert torch.equal(part, x[..., window.top : window.bottom, window.left : window.right])
        whole = window.put(part.contiguous(memory_format=torch.channels_last), whole)
    assert whole is not None
    assert torch.equal(whole, x)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert Window.all_of(11, 14).put(x, None) is x


def test_a_part_of_the_whole_has_parts_too():
    part = Window(4, 2, 11, 9, (13, 9))
    x = torch.rand(1, 2, 7, 7)
    put = None
    for window in tiles(part, 4):
        assert window.whole == (13, 9)
        assert window.top % 2 == window.left % 2 == 0
        put = window.put(window.cut(x, part), put, part)
    assert put is not None
    assert torch.equal(put, x)
