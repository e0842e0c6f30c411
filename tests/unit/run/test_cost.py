"""Dealing a plan to several tasks."""

from pathlib import Path

import pytest

from nst_lightning.grid.pairs import Case, Grid
from nst_lightning.grid.sources import Source
from nst_lightning.run.cost import deal, plan_flops
from nst_lightning.settings import build


def cases() -> list[Case]:
    shapes = [(30, 40), (400, 300), (64, 64), (200, 300), None, (512, 512)]
    contents = [Source(Path(f"{k}.jpg"), str(k), shape) for k, shape in enumerate(shapes)]
    styles = [Source(Path(f"s{k}.jpg"), f"s{k}", (9, 9)) for k in range(7)]
    both = ({"size": 256}, {"size": 64, "steps": 900})
    return [Case(build(some), Grid(contents, styles), {"k": str(k)}) for k, some in enumerate(both)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 84, 200])
def test_every_pair_is_dealt_once(size: int):
    whole = cases()
    parts = [deal(whole, rank, size) for rank in range(size)]
    for index, case in enumerate(whole):
        dealt = [pair.file for part in parts for pair in part[index].pairs]
        assert dealt == [pair.file for pair in case.pairs]
        assert all(part[index].labels == case.labels for part in parts)


def test_shares_cost_about_the_same():
    whole = cases()
    costs = [
        sum(
            plan_flops([pair for pair in case.pairs if pair.content.shape], case.settings)
            for case in deal(whole, rank, 5)
        )
        for rank in range(5)
    ]
    dearest = max(plan_flops([case.pairs[-1]], case.settings) for case in whole)
    assert max(costs) - min(costs) <= 2 * dearest


def test_plans_of_nothing_readable_are_dealt_too():
    broken = [Source(Path(f"{k}.jpg"), str(k), None, "torn") for k in range(6)]
    case = Case(build({}), Grid(broken, [Source(Path("s.jpg"), "s", (9, 9))]))
    assert [len(deal([case], rank, 3)[0].pairs) for rank in range(3)] == [2, 2, 2]
