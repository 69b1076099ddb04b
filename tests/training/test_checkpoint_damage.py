"""Checkpoints under damage, kills and full disks: all of it noticed, nothing sound ever lost."""

import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.errors import Failure
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoint_reading import steps_in
from t2t.training.checkpoints import open_checkpoints
from t2t.training.leaf_names import named_leaves
from tests.training.saved_states import (
    RECORD,
    Lines,
    array_files,
    assert_same,
    make_state,
    read,
    shapes_of,
    written,
)


def test_flipped_bits_are_noticed_named_and_passed_over(tmp_path):
    """25 random flips anywhere in the array files: the newest step is exact, or the one before."""
    written(tmp_path, 1, 2)
    files = array_files(tmp_path / "2")
    sizes = [p.stat().st_size for p in files]
    rng, named = random.Random(0), 0
    for _ in range(25):
        path = rng.choices(files, sizes)[0]
        good = path.read_bytes()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        step, state, _, lines = read(tmp_path)
        path.write_bytes(good)
        assert_same(state, make_state(step))
        assert len(lines) == (step == 1)
        named += any("data is damaged" in line for line in lines)
        for line in lines:
            assert line.startswith(f"{tmp_path}/2: is not sound, trying the step before it: ")
    assert named > 12  # most bytes are array data
    assert read(tmp_path)[0] == 2


def test_the_damaged_leaf_is_named(tmp_path):
    written(tmp_path, 1, 2)
    needle = np.asarray(make_state(2)["params"]["table"])[10:12].tobytes()
    [path] = [p for p in array_files(tmp_path / "2") if needle in p.read_bytes()]
    data = bytearray(path.read_bytes())
    data[data.index(needle) + 5] ^= 16
    path.write_bytes(data)
    step, _, _, lines = read(tmp_path)
    assert step == 1 and "params/table: its data is damaged" in lines[0]
    with pytest.raises(Failure, match="2: is not sound: params/table"):
        read(tmp_path, step=2)
    assert read(tmp_path, verify=False)[0] == 2  # asked not to look


DAMAGE = {
    "truncated array data": lambda s: os.truncate(
        max(array_files(s), key=lambda p: p.stat().st_size), 100
    ),
    "missing array data": lambda s: max(array_files(s), key=lambda p: p.stat().st_size).unlink(),
    "empty metadata": lambda s: (s / "state" / "_METADATA").write_text(""),
    "broken metadata": lambda s: (s / "state" / "_METADATA").write_text('{"tree_metadata": 3'),
    "missing B-tree": lambda s: (s / "state" / "manifest.ocdbt").unlink(),
    "undecodable manifest": lambda s: (s / "manifest" / "manifest.json").write_bytes(b"\xff{"),
    "manifest of another shape": lambda s: (s / "manifest" / "manifest.json").write_text("[]"),
    "missing manifest": lambda s: (s / "manifest" / "manifest.json").unlink(),
    "one digit of the record": lambda s: (s / "manifest" / "manifest.json").write_text(
        (s / "manifest" / "manifest.json")
        .read_text()
        .replace('"steps": 10', '"steps": 11')
        .replace('"steps":10', '"steps":11')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_other_damage_falls_back(tmp_path, damage):
    written(tmp_path, 1, 2)
    DAMAGE[damage](tmp_path / "2")
    step, state, _, lines = read(tmp_path)
    assert step == 1 and len(lines) == 1 and "\n" not in lines[0]
    prefix = f"{tmp_path}/2: is not sound, trying the step before it: "
    place = lines[0].removeprefix(prefix).split(": ")[0]
    kind = damage.split()[-1]
    assert place in {"metadata": ["state/_METADATA"], "manifest": ["manifest.json"]}.get(
        kind, ["manifest.json"] if kind in ("shape", "record") else named_leaves(state)
    )
    assert_same(state, make_state(1))
    DAMAGE[damage](tmp_path / "1")
    with pytest.raises(Failure, match="no sound checkpoint: 2, 1 are all damaged"):
        read(tmp_path)
    assert steps_in(tmp_path) == [1, 2]


def test_an_unsound_step_can_be_saved_again_and_is_not_lost(tmp_path):
    written(tmp_path, 1, 2, 3)
    for step in (2, 3):
        DAMAGE["missing manifest"](tmp_path / str(step))
    store = open_checkpoints(tmp_path, Checkpoints(keep_latest=2), say=Lines())
    assert store.restore(shapes_of(make_state()))[0] == 1
    store.save(2, make_state(20), RECORD)
    store.wait()
    assert store.steps() == [1, 2]
    assert (tmp_path / "2.unsound" / "state").is_dir() and (tmp_path / "3.unsound").is_dir()
    store.save(3, make_state(30), RECORD)
    store.close()
    assert steps_in(tmp_path) == [2, 3]  # the newest two, and both sound
    assert_same(read(tmp_path)[1], make_state(30))
    assert_same(read(tmp_path, step=2)[1], make_state(20))


def test_going_on_from_an_older_step_sets_the_newer_ones_aside(tmp_path):
    written(tmp_path, 1, 2, 3)
    store = open_checkpoints(tmp_path, Checkpoints(keep_latest=2))
    assert store.restore(shapes_of(make_state()), 1)[0] == 1
    store.save(2, make_state(20), RECORD)
    store.close()
    assert steps_in(tmp_path) == [1, 2]
    assert {p.name for p in tmp_path.iterdir()} >= {"2.superseded", "3.superseded"}


def test_keep_best_by_maximum_with_a_damaged_manifest(tmp_path):
    cfg = Checkpoints(keep_latest=1, keep_best=1, best_metric="eval/qa/accuracy", best_mode="max")
    store = open_checkpoints(tmp_path, cfg)
    for step, accuracy in [(1, 0.5), (2, 0.9), (3, 0.7)]:
        store.save(step, make_state(step), RECORD, {"eval/qa/accuracy": accuracy})
    store.close()
    assert steps_in(tmp_path) == [2, 3]
    DAMAGE["undecodable manifest"](tmp_path / "3")
    store = open_checkpoints(tmp_path, cfg, say=Lines())
    assert store.restore(shapes_of(make_state()))[0] == 2
    store.close()


def test_a_failed_save_surfaces_and_the_next_one_works(tmp_path):
    """No file may pass 1 MB, so that writing fails in the background, as on a full disk."""
    big = make_state(2)
    big["params"]["big"] = jax.random.normal(jax.random.key(0), (1000, 1000))
    store = open_checkpoints(tmp_path, Checkpoints(keep_latest=1))
    store.save(1, make_state(1), RECORD)
    store.wait()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        store.save(2, big, RECORD)  # returns
        with pytest.raises(Failure, match=": step 2 could not be saved: ") as failed:
            store.save(3, make_state(3), RECORD)
        assert "\n" not in str(failed.value) and str(tmp_path) in str(failed.value)
        assert store.steps() == [1] and not list(tmp_path.glob("*tmp*"))
        store.save(4, big, RECORD)
        deadline = time.monotonic() + 30
        with pytest.raises(Failure, match=": step 4 could not be saved: "):
            while time.monotonic() < deadline:  # known within steps, long before the next save
                store.due(5)
                time.sleep(0.02)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.save(6, make_state(6), RECORD)
    store.close()
    assert steps_in(tmp_path) == [6]
    assert_same(read(tmp_path)[1], make_state(6))


def test_a_save_that_fails_at_once(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    def broken(*args, **kwargs):
        raise OSError(28, "No space left on device")

    store = open_checkpoints(tmp_path, Checkpoints())
    with monkeypatch.context() as patch:
        patch.setattr(ocp.JsonCheckpointHandler, "_save_fn", broken)
        with pytest.raises(Failure, match=r": step 2 could not be saved: .*No space left"):
            store.save(2, make_state(2), RECORD)
            store.wait()
    store.save(3, make_state(3), RECORD)
    store.close()
    assert steps_in(tmp_path) == [3]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def test_full_disk_is_one_line_and_loses_nothing(small_disk, capfd):
    store = open_checkpoints(small_disk, Checkpoints())
    store.save(1, make_state(1), RECORD)
    store.wait()
    big = make_state(2)
    big["params"]["big"] = jax.random.normal(jax.random.key(0), (2000, 1000))
    with pytest.raises(Failure, match=rf"^{small_disk}: step 2 could not be saved: ") as failed:
        store.save(2, big, RECORD)
        store.wait()
    assert "\n" not in str(failed.value)
    store.close()
    assert capfd.readouterr().err == ""  # no traceback from a library's thread
    assert not list(small_disk.glob("*tmp*"))
    assert_same(read(small_disk)[1], make_state(1))
    store = open_checkpoints(small_disk, Checkpoints())
    store.save(2, make_state(2), RECORD)
    store.close()
    assert steps_in(small_disk) == [1, 2]


CHILD = """
import sys, time
import jax, jax.numpy as jnp
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoints import open_checkpoints

store = open_checkpoints(sys.argv[1], Checkpoints(keep_latest=2))
for step in range(1, 1000):
    state = {"params": {"w": jnp.full((8, 1024, 1024), float(step))}, "step": jnp.int32(step)}
    print(f"saving {step}", flush=True)
    store.save(step, state, {"step": step})
    print(f"writing {step}", flush=True)
    if step == 4:
        time.sleep(600)  # the writer's threads go on; however late the kill, it finds no fifth step
    if step % 2:
        store.wait()
        print(f"saved {step}", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.0, 0.01, 0.03, 0.1])
def test_kill_inside_a_save(tmp_path, moment):
    root = pathlib.Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    saved = 0
    for line in child.stdout:
        word, step = line.split()
        saved = int(step) if word == "saved" else saved
        if word == "writing" and int(step) == 4:
            time.sleep(moment)
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    assert saved == 3
    store = open_checkpoints(tmp_path, Checkpoints(keep_latest=2))
    shape = {
        "params": {"w": jax.ShapeDtypeStruct((8, 1024, 1024), jnp.float32)},
        "step": jax.ShapeDtypeStruct((), jnp.int32),
    }
    step, state, record = store.restore(shape)
    assert step in (3, 4) and record == {"step": step} and int(state["step"]) == step
    assert np.all(np.asarray(state["params"]["w"]) == step)
    store.save(5, state, record)
    store.close()
    assert not list(tmp_path.glob("*tmp*"))
    assert steps_in(tmp_path)[-1] == 5
