"""Rows a second of span corruption (512, 114), from raw text and from a token store.

    python -m benchmarks.input_pipeline --text=books.jsonl.gz --vocabulary=spiece.model
    ... --seqio-python=/path/to/python        # another environment, with seqio and t5 installed

From raw text: `t2t prepare` on all cores and then one pass over the rows, both counted. From a token
store: batches through the feed that training uses, in threads (workers 0) or in worker processes.
With --seqio-python the same text goes through SeqIO with t5's span corruption, between our runs.
A row is 568 raw tokens.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from benchmarks import results

PEER = pathlib.Path(__file__).with_name("seqio_rows.py")


def store_rate(store, tokenizer, options, workers: int) -> float:
    """Returns rows a second of the training feed over a prepared store."""
    from t2t.data.batches import training_samples
    from t2t.data.config import Corpus, Data, Mixture
    from t2t.data.feed import Feed
    from t2t.data.source_config import Prepared
    from t2t.objectives.config import SpanCorruption

    data = Data(
        Mixture((Corpus("text", Prepared("given")),)),
        batch_size=options.batch,
        workers=workers,
    )
    samples = training_samples(data, [store], SpanCorruption(), tokenizer.vocabulary, 0, cache="")
    steps = options.warm_up + options.batches
    with Feed(samples, 0, steps, None, data.read_ahead, workers) as feed:
        for _ in range(options.warm_up):
            next(feed)
        begun = time.perf_counter()
        for batch in feed:
            assert batch["targets"].shape == (options.batch, 114)
        return options.batches * options.batch / (time.perf_counter() - begun)


def raw_rate(source, tokenizer, options) -> tuple[float, int]:
    """Returns (rows a second from text to batches, rows in the text): every row made once."""
    from t2t.data import prepare

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        store = prepare.prepare(source, tokenizer, f"{folder}/store", progress=False)
        rows = store.num_tokens // 568
        size = min(options.batch, rows)
        once = argparse.Namespace(batch=size, batches=max(rows // size, 1), warm_up=0)
        store_rate(store, tokenizer, once, 0)
        return once.batches * size / (time.perf_counter() - begun), rows


def seqio_rate(options) -> float:
    """Returns rows a second of SeqIO from raw text, in the other Python."""
    command = [options.seqio_python, str(PEER), options.text, options.vocabulary]
    command += [str(options.batch), str(options.seqio_rows)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{PEER.name} ended with {done.returncode}; its message is above")
    return json.loads(done.stdout.splitlines()[-1])["rows_per_second"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", required=True, help="a JSONL file (.gz) with the field `text`")
    parser.add_argument("--vocabulary", required=True, help="a SentencePiece model")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=1000, help="timed batches a run")
    parser.add_argument("--warm-up", type=int, default=20, help="batches that do not count")
    parser.add_argument("--workers", type=int, default=2, help="processes of the second row")
    parser.add_argument("--times", type=int, default=3, help="interleaved runs; medians are shown")
    parser.add_argument("--seqio-python", default="", help="a Python with seqio and t5")
    parser.add_argument("--seqio-rows", type=int, default=20_000, help="rows it makes a run")
    results.add_argument(parser)
    options = parser.parse_args(arguments)

    from t2t.data import prepare, tokenizers
    from t2t.data.source_config import Jsonl
    from t2t.data.tokenizer_config import SentencePiece

    tokenizer = tokenizers.load(SentencePiece(options.vocabulary))
    source = Jsonl((options.text,))
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = prepare.prepare(source, tokenizer, f"{folder}/store", progress=False)
        for _ in range(options.times):
            measures = {
                "token store, threads": lambda: store_rate(store, tokenizer, options, 0),
                f"token store, {options.workers} processes": lambda: store_rate(
                    store, tokenizer, options, options.workers
                ),
                "raw text": lambda: raw_rate(source, tokenizer, options)[0],
            }
            if options.seqio_python:
                measures["SeqIO, raw text"] = lambda: seqio_rate(options)
            for name, measure in measures.items():
                found.setdefault(name, []).append(measure())
    cores = os.cpu_count()
    rows = [
        (
            name,
            f"{statistics.median(rates):,.0f}",
            f"{statistics.median(rates) / cores:,.0f}",
            f"{statistics.median(rates) * 568 / 1e6:.2f}",
            f"{min(rates):,.0f}..{max(rates):,.0f}",
        )
        for name, rates in found.items()
    ]
    head = ("from", "rows/s", "rows/s a core", "M raw tokens/s", "range")
    results.show(f"span corruption 512/114, batch {options.batch}, {cores} cores", rows, head)
    figures = "; ".join(f"{row[0]}: {row[1]} rows/s, {row[3]} M tokens/s" for row in rows)
    if options.seqio_python:
        pairs = zip(found["raw text"], found["SeqIO, raw text"], strict=True)
        ratio = statistics.median(mine / theirs for mine, theirs in pairs)
        print(f"from raw text t2t is {ratio:.2f} times as fast as SeqIO")
        figures += f"; **{ratio:.2f} times SeqIO from raw text**"
    used = results.versions("numpy", "grain", "sentencepiece", "tensorstore")
    results.append("input_pipeline", results.machine(), used, figures, options.results)


if __name__ == "__main__":
    main()
