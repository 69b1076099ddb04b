"""The feed: the same batches in the same order however they are read, laid out by the sharding."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.feed import Feed, host_rows
from t2t.data.source_config import Prepared
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.objectives.config import SpanCorruption

VOCABULARY = Vocabulary(size=60000, sentinels=tuple(range(59999, 59899, -1)), fingerprint="v")


class CountingStore:
    """Token i is i + 3. Damaged from token `bad` on; waits `delay` seconds a read."""

    num_tokens, num_documents, fingerprint, kind = 9000, 1, "counting", "texts"
    offsets = np.array([0, 9000])

    def __init__(self, bad=10**9, delay=0.0):
        self.bad, self.delay = bad, delay

    def read(self, starts, length):
        time.sleep(self.delay)
        if starts.max() >= self.bad:
            raise UserError("store/tokens/c/0/0: block 3 is damaged; delete it")
        return (starts[:, None] + np.arange(length) + 3).astype(np.int32)


def samples_of(store=None, **changes):
    data = Data(Mixture((Corpus("c", Prepared("x")),)), **{"batch_size": 8, **changes})
    store = store or CountingStore()
    return batches.training_samples(data, [store], SpanCorruption(32), VOCABULARY, 0)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("read_ahead", [1, 2, 30])
@pytest.mark.parametrize("start", [0, 13])
def test_batches_come_in_order_from_any_step(read_ahead, start):
    samples = samples_of(batch_ramp=((15, 4),))
    with Feed(samples, start, 20, read_ahead=read_ahead) as feed:
        got = list(feed)
    assert len(got) == 20 - start
    for step, batch in enumerate(got, start):
        same(batch, samples.batch_at(step))
    assert list(feed) == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_worker_processes_give_the_same_batches(workers):
    samples = samples_of()
    with Feed(samples, 5, 16, read_ahead=4, workers=workers) as feed:
        for step in range(5, 16):
            batch = next(feed)
            same(batch, samples.batch_at(step))
            assert type(batch["targets"]) is np.ndarray
        with pytest.raises(StopIteration):
            next(feed)


def mesh(*sizes):
    names = ("data", "fsdp", "tensor")[: len(sizes)]
    return Mesh(np.array(jax.devices()[: int(np.prod(sizes))]).reshape(sizes), names)


@pytest.mark.parametrize(
    ("sizes", "axes"),
    [((1,), "data"), ((8,), "data"), ((2, 2, 2), ("data", "fsdp")), ((2, 4), None)],
)
def test_batches_are_laid_out_as_told(sizes, axes):
    samples = samples_of()
    layout = NamedSharding(mesh(*sizes), PartitionSpec(axes))
    with Feed(samples, 3, 6, lambda array: layout) as feed:
        for step, batch in enumerate(feed, 3):
            whole = samples.batch_at(step)
            assert batch["sample"].dtype == np.int32
            same(jax.device_get(batch), {**whole, "sample": whole["sample"].astype(np.int32)})
            for leaf in jax.tree.leaves(batch):
                assert leaf.sharding == layout


def test_length_may_be_split_too():
    samples = samples_of()
    grid = mesh(2, 2, 2)

    def layout(array):
        return NamedSharding(
            grid,
            PartitionSpec("data", "tensor")
            if array.ndim > 1 and array.shape[1] % 2 == 0
            else PartitionSpec("data"),
        )

    with Feed(samples, 0, 2, layout) as feed:
        for step, batch in enumerate(feed):
            np.testing.assert_array_equal(
                batch["encoder"]["tokens"], samples.batch_at(step)["encoder"]["tokens"]
            )
            assert batch["encoder"]["tokens"].sharding.spec == PartitionSpec("data", "tensor")


class TwoHosts:
    """A sharding as one host of two sees it: `mine` are the parts of the rows it holds."""

    is_fully_addressable = False

    def __init__(self, parts, mine):
        self.parts, self.mine = parts, mine

    def addressable_devices_indices_map(self, shape):
        size = shape[0] // self.parts
        return {d: (slice(p * size, (p + 1) * size),) for d, p in enumerate(self.mine)}


def test_a_host_reads_the_rows_of_its_devices(monkeypatch):
    assert host_rows(lambda a: TwoHosts(4, [0, 1, 2, 3]), 8) is None
    assert host_rows(lambda a: TwoHosts(4, [1, 1, 3]), 8).tolist() == [2, 3, 6, 7]
    placed = {}

    def from_callback(shape, sharding, part):
        rows = {
            p: part((slice(p * 2, p * 2 + 2), *[slice(None)] * (len(shape) - 1)))
            for p in sharding.mine
        }
        placed.setdefault(shape, []).append(rows)
        return np.zeros(shape)

    monkeypatch.setattr(jax, "make_array_from_callback", from_callback)
    samples = samples_of()
    with Feed(samples, 0, 1, lambda a: TwoHosts(4, [3, 1, 1])) as feed:
        next(feed)
    whole = samples.batch_at(0)
    for leaf in (whole["targets"], whole["encoder"]["tokens"]):
        found = placed[leaf.shape]
        assert any(
            all(np.array_equal(rows[p], leaf[2 * p : 2 * p + 2]) for p in (1, 3)) for rows in found
        )


def test_large_sample_numbers_fit_the_device():
    samples = samples_of()
    layout = NamedSharding(mesh(1), PartitionSpec())
    step = (2**31 + 800) // 8
    with Feed(samples, step, step + 1, lambda array: layout) as feed:
        assert next(feed)["sample"].tolist() == list(range(800, 808))


def test_an_error_arrives_as_itself_after_the_batches_before_it():
    samples = samples_of(CountingStore(bad=8800))
    good = 0
    while samples.examples(samples.sample_numbers(good)).starts.max() < 8800:
        good += 1
    feed = Feed(samples, 0, 1000)
    for _ in range(good):
        next(feed)
    with pytest.raises(UserError, match="^store/tokens/c/0/0: block 3 is damaged; delete it$"):
        next(feed)
    with pytest.raises(StopIteration):
        next(feed)


@pytest.mark.slow
def test_an_error_of_a_worker_process_arrives_as_itself():
    with Feed(samples_of(CountingStore(bad=0)), 0, 10, workers=1) as feed:
        with pytest.raises(UserError) as caught:
            next(feed)
        assert str(caught.value) == "store/tokens/c/0/0: block 3 is damaged; delete it"
        assert "in read" in caught.value.__notes__[0]


def test_waiting_is_counted():
    with Feed(samples_of(CountingStore(delay=0.1)), 0, 4, read_ahead=1) as slow:
        list(slow)
    assert 0.15 < slow.data_wait_seconds < 2
    with Feed(samples_of(), 0, 4) as quick:
        time.sleep(1.0)
        next(quick)
        assert quick.data_wait_seconds < 0.05


def test_closing_ends_the_threads():
    feed = Feed(samples_of(), 0, 10**6)
    next(feed)
    feed.close()
    feed.close()
    assert not any(t.name == "t2t-feed" for t in threading.enumerate())
    with pytest.raises(StopIteration):
        next(feed)


def run_script(folder, text):
    script = folder / "trainer.py"
    script.write_text(textwrap.dedent(text))
    here = pathlib.Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


@pytest.mark.slow
def test_a_program_that_forgets_to_close_ends_well(tmp_path):
    trainer = run_script(
        tmp_path,
        """
        import jax
        from jax.sharding import SingleDeviceSharding
        from test_feed import samples_of
        from t2t.data.feed import Feed
        if __name__ == "__main__":
            layout = SingleDeviceSharding(jax.devices()[0])
            feed = Feed(samples_of(), 0, 10**6, lambda array: layout)
            print(next(feed)["sample"].shape)
        """,
    )
    out, errors = trainer.communicate(timeout=120)
    assert (trainer.returncode, out, errors) == (0, "(8,)\n", "")


def alive(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return status != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes in /proc")
def test_worker_processes_die_with_the_trainer(tmp_path):
    trainer = run_script(
        tmp_path,
        """
        import multiprocessing, sys, time
        from test_feed import samples_of
        from t2t.data.feed import Feed
        if __name__ == "__main__":
            feed = Feed(samples_of(), 0, 10**6, workers=2)
            next(feed), next(feed)
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            time.sleep(600)
        """,
    )
    try:
        workers = [int(pid) for pid in trainer.stdout.readline().split()]
        assert len(workers) == 2 and all(map(alive, workers))
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        deadline = time.monotonic() + 20
        while any(map(alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(map(alive, workers))
    finally:
        trainer.kill()
        trainer.stdout.close()
        trainer.stderr.close()
