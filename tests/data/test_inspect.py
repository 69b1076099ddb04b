"""A batch as text shows what the batch holds."""

import dataclasses
import re

import numpy as np
import pytest

from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.inspect import inspect_lines
from t2t.data.source_config import Prepared
from t2t.data.tokenizers import ByteTokenizer
from t2t.objectives.config import PermutationLM, SpanCorruption

TOKENIZER = ByteTokenizer(extra_ids=100)
TEXT = [f"This is document {i}, of some words. " * (1 + i % 3) for i in range(60)]


class TextStore:
    """The bytes of TEXT, document after document."""

    def __init__(self):
        ids = TOKENIZER.encode(TEXT)
        self.tokens = np.concatenate(ids)
        self.offsets = np.concatenate([[0], np.cumsum([len(i) for i in ids])])
        self.num_documents, self.num_tokens = len(ids), len(self.tokens)
        self.fingerprint, self.kind = "text", "texts"

    def describe(self):
        return f"{self.num_documents} documents, {self.num_tokens} tokens"

    def read(self, starts, length):
        return self.tokens[starts[:, None] + np.arange(length)]


def samples_of(order):
    data = Data(
        Mixture((Corpus("letters", Prepared("x")), Corpus("more", Prepared("x"), rate=3.0))),
        order=order,
        batch_size=8,
    )
    return batches.training_samples(
        data, [TextStore(), TextStore()], SpanCorruption(96), TOKENIZER.vocabulary, 4
    )


@pytest.mark.parametrize("order", ["shuffled", "packed", "streams"])
def test_the_lines_show_the_batch(order):
    samples = samples_of(order)
    lines = inspect_lines(samples, TOKENIZER, 3, rows=5)
    text, batch = "\n".join(lines), samples.batch_at(3)
    assert lines[0] == f"step 3: samples 24..31, 8 rows, order {order}, seed 4"
    filled = batch["encoder"].get("segments", np.ones(1)) > 0
    assert f"encoder 96 tokens, {filled.mean():.2%} filled" in lines[1]
    assert f"{(batch['weights'] > 0).mean():.2%} filled" in lines[1]
    assert "corpus letters: 25.0% of the rows here" in text
    assert "corpus more: 75.0% of the rows here" in text
    assert sum(line.startswith("row ") for line in lines) == 5
    shown = [line.split(": ", 1)[1] for line in lines if line.startswith("    inputs (")]
    row, segments = batch["encoder"]["tokens"][0], batch["encoder"].get("segments")
    first = row if segments is None else row[segments[0] == 1]
    assert shown[0] == TOKENIZER.decode(first, stop_at_eos=False)
    assert "<extra_id_0>" in shown[0]
    places = re.findall(r"  example 1: tokens (\d+)\.\.(\d+) of the store", text)
    examples = samples.examples(samples.sample_numbers(3))
    assert (int(places[0][0]), int(places[0][1])) == (
        examples.starts[0],
        examples.starts[0] + examples.lengths[0],
    )
    ids = [line.split(": ")[1] for line in lines if line.startswith("    decoder ids")][0]
    decoder = batch["decoder"]["tokens"][0][:24]
    assert ids.removesuffix(" ...").split() == [str(t) for t in decoder[: len(ids.split())]][:24]


def test_packed_rows_show_every_example_and_what_was_cut():
    lines = inspect_lines(samples_of("packed"), TOKENIZER, 0, rows=8)
    counts = [int(line.split(", ")[-1].split()[0]) for line in lines if line.startswith("row ")]
    assert sum(counts) == sum(line.startswith("  example ") for line in lines)
    plan = samples_of("packed").corpora[0].plan
    assert f"{plan.documents_cut} documents were longer than a row and cut" in "\n".join(lines)


def test_empty_rows_of_a_last_batch():
    data = Data(
        Mixture((Corpus("c", Prepared("x")),)),
        evaluation=(Corpus("held", Prepared("x")),),
        batch_size=7,
    )
    held = batches.evaluation_samples(
        data, [TextStore()], SpanCorruption(96), TOKENIZER.vocabulary, 0
    )["held"]
    lines = inspect_lines(held, TOKENIZER, held.batches - 1, rows=7)
    assert any("0 examples" in line for line in lines)


def test_rows_read_from_their_end_are_told():
    data = Data(Mixture((Corpus("letters", Prepared("x")),)), order="streams", batch_size=4)
    marked = dataclasses.replace(TOKENIZER.vocabulary, marks=bytes([1]) * TOKENIZER.vocabulary.size)
    samples = batches.training_samples(
        data, [TextStore()], PermutationLM(32, both_ways=True), marked, 4
    )
    lines = inspect_lines(samples, TOKENIZER, 0)
    places = [line for line in lines if "of the store" in line]
    assert [line.endswith(", from its end") for line in places] == [False, False, True, True]
    shown = [line.split(": ", 1)[1] for line in lines if line.startswith("    inputs (")]
    assert shown[0].startswith("This is document 0") and "tnemucod" in shown[2]
