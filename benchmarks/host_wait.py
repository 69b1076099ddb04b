"""How long hosts wait for data: several processes, each making its own rows, in step with each other.

    python -m benchmarks.host_wait --hosts=4 --step=0.05

Every host has the feed that training uses over its share of a global batch (span corruption, 512/114),
takes a batch, is busy for the length of a step (asleep: an accelerator works, the host does not), and
meets the others, as a step's collectives make it. Shown, in percent of a step, over all steps and hosts
after warm-up: how long hosts waited because no batch was there (expected: under 1 % at the 99th
percentile), and what taking a batch took in all. The latter includes waiting for a core, of which four
hosts on one machine have too few: so each step also takes an item from a queue that a thread keeps
full of nothing.
"""

import argparse
import contextlib
import json
import os
import pathlib
import queue
import sys
import tempfile
import threading
import time

from benchmarks import results

_CHILD = "T2T_HOST_WAIT"  # the folder that holds the options, and the waits of every host


def run_host(folder: pathlib.Path) -> None:
    """One host: writes the seconds that it waited for each batch."""
    import jax

    from t2t.data import prepare, tokenizers
    from t2t.data.batches import training_samples
    from t2t.data.config import Corpus, Data, Mixture
    from t2t.data.feed import Feed
    from t2t.data.source_config import Text
    from t2t.data.tokenizer_config import Bytes
    from t2t.objectives.config import SpanCorruption
    from t2t.parallel import hosts
    from t2t.parallel.gang import Gang
    from t2t.parallel.mesh import make_mesh
    from t2t.parallel.mesh_config import Mesh
    from t2t.parallel.sharding import batch_sharding

    options = json.loads((folder / "options.json").read_text())
    tokenizer = tokenizers.load(Bytes(extra_ids=100))
    gang = Gang(hosts.find(), 300, 120)
    with gang.fail_stop():
        gang.start()
        mesh = make_mesh(Mesh())
        source = Text((str(folder / "text.txt"),), documents="paragraph")
        store = prepare.ensure(str(folder), source, tokenizer, workers=1, progress=False)
        data = Data(
            Mixture((Corpus("text", source),)),
            batch_size=options["batch"],
            workers=options["workers"],
        )
        vocabulary = tokenizer.vocabulary
        samples = training_samples(
            data, [store], SpanCorruption(), vocabulary, 0, cache=str(folder)
        )
        waits, taking, control, steps = [], [], [], options["warm_up"] + options["steps"]
        full: queue.Queue = queue.Queue(maxsize=2)
        filling = threading.Thread(target=lambda: [full.put(None) for _ in range(steps)])
        filling.start()
        place = lambda x: batch_sharding(mesh, x)
        with Feed(samples, 0, steps, place, data.read_ahead, data.workers) as feed:
            gang.meet("begin")
            for _ in range(steps):
                waited, before = feed.data_wait_seconds, time.perf_counter()
                batch = next(feed)
                taking.append(time.perf_counter() - before)
                waits.append(feed.data_wait_seconds - waited)
                local = {s.data.shape for s in batch["targets"].addressable_shards}
                assert local == {(options["batch"] // jax.process_count(), 114)}
                del batch  # freeing a batch gives the interpreter away: not while the next is timed
                time.sleep(options["step"] / 2)
                before = time.perf_counter()
                full.get()
                control.append(time.perf_counter() - before)
                time.sleep(options["step"] / 2)
                gang.meet("step")
        found = [kind[options["warm_up"] :] for kind in (waits, taking, control)]
        (folder / f"{gang.process}.json").write_text(json.dumps(found))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64, help="rows of all hosts together")
    parser.add_argument("--step", type=float, default=0.05, help="seconds")
    parser.add_argument("--steps", type=int, default=400, help="that count")
    parser.add_argument("--warm-up", type=int, default=40, help="that do not")
    parser.add_argument("--workers", type=int, default=0, help="processes that read, a host")
    results.add_argument(parser)
    options = parser.parse_args(arguments)

    from pydoc_data import topics

    import numpy as np

    from t2t.launch.local import Processes, wait_for_all

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = "\n\n".join(topics.topics.values())
        (folder / "text.txt").write_text(text, encoding="utf-8")
        given = {key: value for key, value in vars(options).items() if key != "results"}
        (folder / "options.json").write_text(json.dumps(given))
        os.environ |= {_CHILD: name, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
        program = (sys.executable, "-m", "benchmarks.host_wait")
        with contextlib.closing(Processes([], options.hosts, program)) as processes:
            endings, _ = wait_for_all(processes, options.hosts, 20.0, print)
        if any(ending.code for ending in endings):
            raise SystemExit("a host ended badly; its message is above")
        found = [json.loads((folder / f"{i}.json").read_text()) for i in range(options.hosts)]
    share, taking, control = np.moveaxis(np.array(found) / options.step, 1, 0)  # [hosts, steps]
    load = os.getloadavg()[0]
    rows = [
        (
            name,
            *(f"{np.quantile(part, q):.3%}" for q in (0.5, 0.99, 1.0)),
            f"{np.mean(part):.3%}",
        )
        for name, part in [
            *((f"host {i} waits for data", part) for i, part in enumerate(share)),
            ("all wait for data", share),
            ("taking a batch", taking),
            ("taking from a full queue", control),
        ]
    ]
    head = ("of a step", "median", "99th percentile", "longest", "mean")
    title = (
        f"{options.hosts} hosts, {options.batch} rows of 512/114 in steps of {options.step * 1e3:g} ms, "
        f"{options.steps} steps, load of this machine {load:.1f}"
    )
    results.show(title, rows, head)
    figures = (
        f"{title}: **waiting for data {rows[-3][2]} at the 99th percentile**, longest {rows[-3][3]}"
    )
    figures += "".join(f"; {name} {median} / {late}" for name, median, late, *_ in rows[-2:])
    used = results.versions("jax", "numpy", "grain")
    results.append("host_wait", results.machine(), used, figures, options.results)


if __name__ == "__main__":
    if _CHILD in os.environ:
        run_host(pathlib.Path(os.environ[_CHILD]))
    else:
        main()
