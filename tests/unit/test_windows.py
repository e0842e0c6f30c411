"""Parts of a whole: that they make it up, and what is cut out of it and put back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nst_lightning.windows import Window, spans, tiles


@given(st.integers(1, 300), st.integers(1, 60))
def test_parts_make_up_the_whole(length: int, half: int):
    parts = spans(length, 2 * half)
    assert [first for first, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == length
    assert all(end % 2 == 0 for _, end in parts[:-1])
    sizes = [end - first for first, end in parts]
    assert 0 < min(sizes) <= max(sizes) <= 2 * half
    assert max(sizes) - min(sizes) <= 3


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
