"""The times of frames from stamps that are whole, missing or wrong."""

from fractions import Fraction

from nst_lightning.video.frame_times import Times, times_of

BASE, RATE = Fraction(1, 100), Fraction(25)


def test_stamps_are_taken_as_they_are():
    assert times_of([3, 7, 30], 9, BASE, RATE) == Times(BASE, (3, 7, 30), 9, True)


def test_the_last_frame_stands_as_long_as_the_one_before_where_nothing_is_said():
    assert times_of([3, 7, 30], 0, BASE, RATE).last == 23
    assert times_of([3], 0, BASE, RATE).last == 4


def test_a_frame_that_is_not_later_is_moved_behind_the_one_before():
    assert times_of([0, 4, 4, 3, 16], 4, BASE, RATE) == Times(BASE, (0, 4, 5, 6, 16), 4, False)


def test_stamps_that_begin_anew_are_counted():
    counted = Times(1 / RATE, (2, 3, 4, 5), 1, False)
    assert times_of([8, 12, 0, 4], 4, BASE, RATE) == counted


def test_frames_without_a_stamp_are_counted():
    assert times_of([None, None], 0, BASE, RATE) == Times(1 / RATE, (0, 1), 1, False)
    assert times_of([8, None, 16], 0, BASE, RATE) == Times(1 / RATE, (2, 3, 4), 1, False)
    assert times_of([8, 12], 0, None, RATE) == Times(1 / RATE, (0, 1), 1, False)
