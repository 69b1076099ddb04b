"""Rows a second of SeqIO with t5's span corruption. Run by input_pipeline.py in another Python.

    python seqio_rows.py TEXT.jsonl.gz SPIECE.model BATCH ROWS

Prints one JSON line. Needs seqio, t5 and TensorFlow, none of which t2t installs.
"""

import functools
import json
import sys
import time

import seqio
import tensorflow as tf
from t5.data import preprocessors


def main() -> None:
    text, vocabulary_path, batch, rows = sys.argv[1:5]
    batch, rows = int(batch), int(rows)
    vocabulary = seqio.SentencePieceVocabulary(vocabulary_path, extra_ids=100)
    features = {
        name: seqio.Feature(vocabulary=vocabulary, add_eos=True) for name in ("inputs", "targets")
    }

    def read(split, shuffle_files=False, seed=None):
        del split, shuffle_files, seed

        def examples():
            import gzip

            opener = gzip.open if text.endswith(".gz") else open
            with opener(text, "rt", encoding="utf-8") as file:
                for line in file:
                    yield {"text": json.loads(line)["text"]}

        return tf.data.Dataset.from_generator(
            examples, output_signature={"text": tf.TensorSpec([], tf.string)}
        )

    seqio.TaskRegistry.add(
        "rows",
        source=seqio.FunctionDataSource(read, splits=["train"]),
        preprocessors=[
            functools.partial(preprocessors.rekey, key_map={"inputs": None, "targets": "text"}),
            seqio.preprocessors.tokenize,
            preprocessors.span_corruption,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features=features,
        metric_fns=[],
    )
    lengths = {"inputs": 512, "targets": 114}
    dataset = seqio.get_mixture_or_task("rows").get_dataset(lengths, "train", shuffle=False)
    dataset = seqio.EncDecFeatureConverter(pack=False)(dataset, lengths)
    made, begun = 0, None
    for _ in dataset.batch(batch).prefetch(tf.data.AUTOTUNE).repeat().as_numpy_iterator():
        if begun is None:  # the first batch is start-up
            begun = time.perf_counter()
            continue
        made += batch
        if made >= rows:
            break
    print(json.dumps({"rows_per_second": made / (time.perf_counter() - begun)}))


if __name__ == "__main__":
    main()
