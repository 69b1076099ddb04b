"""Where a run's time went, by hand: killed, resumed, resumed from an older step."""

import json

import pytest

from t2t.monitoring.goodput import Goodput, spent


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path):
    """Returns (directory, clock, start): start(step, starting) begins a process start."""
    clock = Clock()

    def start(step: int, starting: float) -> Goodput:
        began = clock.now
        clock.now += starting
        return Goodput(str(tmp_path), step, began, clock=clock)

    return str(tmp_path), clock, start


def test_one_start_to_the_end(run):
    directory, clock, start = run
    goodput = start(0, 10.0)
    clock.now += 100.0  # 90 s of steps, 10 s of evaluations
    goodput.saved(50, 90.0)
    found = spent(directory)
    assert found.wall == 110 and found.kept == 90 and found.starting == found.other == 10
    assert found.lost == found.down == found.restoring == found.saving == 0
    assert goodput.describe() == "goodput 81.8% of 110 s in 1 start (starting 9.1%, other 9.1%)"


def test_what_else_took_how_long_is_told_apart(run):
    directory, clock, _ = run
    clock.now += 10.0
    before = {"restoring": 3.0, "compiling": 2.0}
    goodput = Goodput(directory, 5, 1000.0, before=before, clock=clock)
    for what, seconds in (("evaluating", 4.0), ("saving", 1.0), ("evaluating", 2.0)):
        clock.now += 20.0
        with goodput.during(what):
            clock.now += seconds
    goodput.saved(50, 59.0)
    found = spent(directory)
    assert (found.starting, found.restoring, found.compiling) == (5, 3, 2)
    assert (found.evaluating, found.saving, found.other, found.kept) == (6, 1, 1, 59)
    assert sum(found[1:-1]) == found.wall == 77
    assert "compiling 2.6%, evaluating 7.8%, saving 1.3%, other 1.3%)" in found.describe()


def test_what_was_done_after_the_checkpoint_resumed_from_is_lost(run):
    directory, clock, start = run
    goodput = start(0, 10.0)
    clock.now += 40.0
    goodput.saved(10, 40.0)
    clock.now += 50.0
    goodput.seen(90.0)  # and it is written, for the last time was long ago
    clock.now += 30.0  # killed at some time in here, started again at its end
    goodput = start(10, 20.0)
    clock.now += 60.0
    goodput.saved(20, 60.0)
    found = spent(directory)
    assert found.wall == 10 + 40 + 50 + 30 + 20 + 60
    assert found.kept == 40 + 60 and found.lost == 50
    assert found.down == 30 and found.starting == 30 and found.other == 0
    assert sum(found[1:-1]) == found.wall


def test_falling_back_behind_the_last_start_loses_what_that_did_too(run):
    directory, clock, start = run
    for step, until in ((0, ((10, 40.0), (20, 80.0))), (20, ((30, 40.0),)), (10, ((40, 100.0),))):
        goodput = start(step, 0.0)
        clock.now += 100.0
        for saved, seconds in until:
            goodput.saved(saved, seconds)
    assert spent(directory).kept == 40 + 0 + 100


def test_others_write_nothing_and_damage_is_passed_over(tmp_path, run):
    directory, clock, start = run
    other = Goodput(directory, 0, clock.now, writes=False)
    other.saved(1, 1.0)
    assert other.describe() == ""
    assert not (tmp_path / "goodput").exists() and spent(directory) is None
    start(0, 1.0)
    (tmp_path / "goodput" / "00001.json").write_text('{"until": []}')
    start(0, 1.0)
    assert sorted(p.name for p in (tmp_path / "goodput").iterdir()) == [
        f"{i:05d}.json" for i in range(3)
    ]
    assert spent(directory).starts == 2
    assert json.loads((tmp_path / "goodput" / "00002.json").read_text())["start"] == 0
