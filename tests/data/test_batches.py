"""Batches: pure in (seed, sample), the same for any hosts, every order reading what it should."""

import dataclasses
import pickle

import numpy as np
import pytest

from t2t.data import batches, corpus_rows
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.order import continue_schedule
from t2t.data.source_config import Prepared
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.objectives import span_corruption as sc
from t2t.objectives.config import PermutationLM, SpanCorruption

VOCABULARY = Vocabulary(size=60000, sentinels=tuple(range(59999, 59899, -1)), fingerprint="v")
OBJECTIVE = SpanCorruption(inputs_length=64)
LENGTH = sc.raw_length(OBJECTIVE)


class MemoryStore:
    """A token store in memory; token i of the flat array is i + 3, so tokens tell their place."""

    def __init__(self, documents, name):
        self.offsets = np.concatenate([[0], np.cumsum(documents)]).astype(np.int64)
        self.num_documents, self.num_tokens = len(documents), int(self.offsets[-1])
        self.fingerprint, self.kind = name, "texts"

    def read(self, starts, length):
        assert starts.min() >= 0 and starts.max() + length <= self.num_tokens
        return (starts[:, None] + np.arange(length) + 3).astype(np.int32)


def stores_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return [MemoryStore(rng.integers(1, 200, 150), f"s{i}") for i in range(count)]


def data_of(count=1, **changes):
    corpora = tuple(Corpus(f"c{i}", Prepared("x"), rate=1.0 + i) for i in range(count))
    data = Data(Mixture(corpora), **{"batch_size": 16, **changes})
    data.check("data")
    return data


def train(count=1, stores=None, seed=0, **changes):
    stores = stores or stores_of(count)
    return batches.training_samples(data_of(count, **changes), stores, OBJECTIVE, VOCABULARY, seed)


def arrays(batch):
    result = {}
    for name, part in batch.items():
        if isinstance(part, dict):
            result |= {f"{name}/{key}": value for key, value in part.items()}
        else:
            result[name] = part
    return result


def assert_equal(a, b):
    a, b = arrays(a), arrays(b)
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype, name
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def originals(batch):
    """The raw tokens of each example of a batch, put together again: {(row, segment): tokens}."""
    result = {}
    for row in range(len(batch["targets"])):
        encoder, targets = batch["encoder"]["tokens"][row], batch["targets"][row]
        where = batch["encoder"].get("segments", np.ones((row + 1, len(encoder)), int))[row]
        to = batch["decoder"].get("segments", np.ones((row + 1, len(targets)), int))[row]
        if not batch["weights"][row].any():
            continue
        for segment in range(1, where.max() + 1):
            spans, current = {}, None
            for token in targets[to == segment][:-1].tolist():
                if token in VOCABULARY.sentinels:
                    current = spans.setdefault(token, [])
                else:
                    current.append(token)
            tokens = []
            for token in encoder[where == segment][:-1].tolist():
                tokens += spans.pop(token) if token in VOCABULARY.sentinels else [token]
            assert not spans
            result[row, segment] = np.array(tokens)
    return result


ORDERS = ["shuffled", "packed", "streams"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_hosts_makes_the_same_global_batch(order, count):
    samples = train(count, order=order)
    for step in (0, 3, 1000):
        whole = samples.batch_at(step)
        assert whole["sample"].tolist() == list(range(16 * step, 16 * step + 16))
        for hosts in (1, 2, 4, 8):
            size = 16 // hosts
            parts = [
                arrays(samples.batch_at(step, slice(h * size, (h + 1) * size)))
                for h in range(hosts)
            ]
            joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
            for name, array in arrays(whole).items():
                np.testing.assert_array_equal(joined[name], array)
        rows = np.array([3, 0, 9])
        some = samples.batch_at(step, rows)
        np.testing.assert_array_equal(some["targets"], whole["targets"][rows])


@pytest.mark.parametrize("order", ORDERS)
def test_a_row_is_a_function_of_seed_and_sample(order):
    samples = train(2, order=order)
    numbers = np.array([0, 17, 4000, 123456])
    together = arrays(samples.rows(numbers))
    for i, number in enumerate(numbers):
        alone = arrays(samples.rows(np.array([number])))
        for name, array in together.items():
            np.testing.assert_array_equal(array[i], alone[name][0], err_msg=name)
    assert_equal(train(2, order=order).rows(numbers), samples.rows(numbers))
    assert_equal(pickle.loads(pickle.dumps(samples)).rows(numbers), samples.rows(numbers))
    other = train(2, order=order, seed=1).rows(numbers)
    assert (other["targets"] != together["targets"]).any()


@pytest.mark.parametrize("order", ORDERS)
def test_batches_are_what_the_tokens_were(order):
    """Put together again, every example is consecutive tokens of its corpus."""
    samples = train(2, order=order)
    batch, examples = samples.batch_at(5), samples.examples(samples.sample_numbers(5))
    together = list(originals(batch).values())
    assert len(together) == len(examples.starts) == examples.in_row.sum()
    for tokens, start, length in zip(together, examples.starts, examples.lengths, strict=True):
        np.testing.assert_array_equal(tokens, np.arange(start, start + length) + 3)
    assert ("segments" in batch["encoder"]) == (order == "packed")
    assert samples.full == (order != "packed")


def test_shuffled_epochs_cut_everything_once_and_elsewhere():
    samples = train(1)
    rows = samples.corpora[0]
    epochs = []
    for epoch in range(4):
        starts = samples.examples(np.arange(rows.rows) + epoch * rows.rows).starts
        ordered = np.sort(starts)
        assert (np.diff(ordered) == LENGTH).all()
        assert ordered[0] >= 0 and ordered[-1] + LENGTH <= samples.stores[0].num_tokens
        assert ordered[0] < 2 * LENGTH
        epochs.append(starts)
    assert len({int(e.min()) for e in epochs}) > 1  # boundaries move
    assert (epochs[0] != epochs[1]).mean() > 0.9
    # A corpus of one row has one.
    tiny = corpus_rows.Shuffled(10, 10 + LENGTH, LENGTH, 0, "tiny")
    assert tiny.rows == 1 and (tiny.locate(np.arange(5)).starts == 10).all()


def test_packed_examples_equal_unpacked_ones():
    """The same example, alone in a row of its own batch, is corrupted in the same way."""
    samples = train(2, order="packed")
    numbers = samples.sample_numbers(2)
    batch, examples = samples.rows(numbers), samples.examples(numbers)
    tokens = np.zeros((len(examples.starts), LENGTH), np.int32)
    for e, (start, length) in enumerate(zip(examples.starts, examples.lengths, strict=True)):
        tokens[e, :length] = np.arange(start, start + length) + 3
    draw = lambda n: batches.random_bits(0, "train", examples.number, n)
    alone = sc.make_batch(OBJECTIVE, VOCABULARY, tokens, examples.lengths, draw)
    e = 0
    for row, count in enumerate(examples.in_row):
        for segment in range(1, count + 1):
            encoder = batch["encoder"]["segments"][row] == segment
            decoder = batch["decoder"]["segments"][row] == segment
            for got, want in (
                (batch["encoder"]["tokens"][row][encoder], alone["encoder"]["tokens"][e]),
                (batch["decoder"]["tokens"][row][decoder], alone["decoder"]["tokens"][e]),
                (batch["targets"][row][decoder], alone["targets"][e]),
                (batch["encoder"]["positions"][row][encoder], np.arange(LENGTH)),
                (batch["weights"][row][decoder], alone["weights"][e]),
            ):
                np.testing.assert_array_equal(got, want[: len(got)])
            e += 1
    assert examples.in_row.max() > 1


def test_packed_epochs_hold_every_example_once():
    samples = train(1, order="packed")
    plan, rows = samples.corpora[0].plan, samples.corpora[0].rows
    for epoch in range(2):
        examples = samples.examples(np.arange(rows) + epoch * rows)
        assert sorted(examples.starts.tolist()) == sorted(plan.starts.tolist())
        assert len(np.unique(examples.number)) == len(plan.starts)


def test_packed_reads_rows_at_the_very_end_of_a_store():
    store = MemoryStore([3, LENGTH - 3, 9], "end")
    samples = train(stores=[store], order="packed")
    for tokens in originals(samples.batch_at(0)).values():
        assert (np.diff(tokens) == 1).all() and tokens[0] - 3 in (0, 3, LENGTH)


def test_streams_go_on_where_they_stopped():
    samples = train(2, order="streams")
    before = None
    for step in range(60):
        examples = samples.examples(samples.sample_numbers(step))
        if before is not None:
            np.testing.assert_array_equal(examples.corpus, before.corpus)
            goes_on = examples.starts == before.starts + LENGTH
            at_begin = examples.starts == 0  # the corpus is over and begins again
            assert (goes_on | at_begin).all()
        before = examples
    assert np.bincount(before.corpus).tolist() == [6, 10]  # 16 rows by rates 1 and 2
    one = train(1, order="streams")
    rows = one.corpora[0].rows
    starts = one.examples(np.arange(rows)).starts
    np.testing.assert_array_equal(np.sort(starts), np.arange(rows) * LENGTH)


def test_mixture_shares_and_order_within():
    samples = train(3, batch_size=60)
    corpus = np.concatenate([samples.examples(samples.sample_numbers(s)).corpus for s in range(10)])
    assert np.abs(np.bincount(corpus) - [100, 200, 300]).max() <= 2


def test_documents_split_training_from_held_out_text():
    store = stores_of(1)[0]
    corpus = Corpus("c", Prepared("x"), documents=(0.0, 0.7))
    rest = dataclasses.replace(corpus, documents=(0.7, 1.0))
    border = store.offsets[int(0.7 * store.num_documents)]
    for order in ORDERS:
        data = Data(Mixture((corpus,)), evaluation=(rest,), order=order, batch_size=4)
        samples = batches.training_samples(data, [store], OBJECTIVE, VOCABULARY, 0)
        held = batches.evaluation_samples(data, [store], OBJECTIVE, VOCABULARY, 0)["c"]
        seen = samples.examples(np.arange(5000))
        assert (seen.starts + seen.lengths).max() <= border
        assert held.examples(np.arange(held.corpora[0].rows)).starts.min() >= border


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 16, 1000])
def test_held_out_rows_come_once_and_the_last_batch_is_filled_up(order, size):
    data = data_of(1, order=order, evaluation_batch_size=size)
    data = dataclasses.replace(data, evaluation=(Corpus("held", Prepared("x")),))
    store = stores_of(1)[0]
    samples = batches.evaluation_samples(data, [store], OBJECTIVE, VOCABULARY, 0)["held"]
    starts, structure = [], None
    for step in range(samples.batches):
        batch = samples.batch_at(step)
        shapes = {name: (a.shape, a.dtype) for name, a in arrays(batch).items()}
        assert structure in (None, shapes)
        structure = shapes
        assert batch["weights"].shape[0] == size
        examples = samples.examples(samples.sample_numbers(step))
        np.testing.assert_array_equal(batch["weights"].any(axis=1), examples.in_row > 0)
        assert not batch["targets"][examples.in_row == 0].any()
        assert not batch["encoder"]["tokens"][examples.in_row == 0].any()
        starts += examples.starts.tolist()
        assert_equal(batch, samples.batch_at(step))
    if order == "packed":
        assert sorted(starts) == sorted(samples.corpora[0].plan.starts.tolist())
    else:
        rows = store.num_tokens // LENGTH
        assert sorted(starts) == [r * LENGTH for r in range(rows)]
        assert order == "streams" or starts == sorted(starts)


def test_held_out_randomness_is_not_that_of_training():
    store = MemoryStore([LENGTH], "one row")
    data = dataclasses.replace(data_of(1), evaluation=(Corpus("c0", Prepared("x")),))
    samples = batches.training_samples(data, [store], OBJECTIVE, VOCABULARY, 0)
    held = batches.evaluation_samples(data, [store], OBJECTIVE, VOCABULARY, 0)["c0"]
    assert (held.batch_at(0)["targets"][0] != samples.batch_at(0)["targets"][0]).any()


def test_a_ramp_and_another_batch_size_on_resume_skip_no_sample():
    data = data_of(1, batch_ramp=((2, 4), (4, 8)))
    assert data.pieces() == ((0, 4), (2, 8), (4, 16))
    samples = train(1, batch_ramp=((2, 4), (4, 8)))
    resumed = dataclasses.replace(
        samples, pieces=continue_schedule(samples.pieces, ((0, 6),), step=5)
    )
    seen = [resumed.batch_at(step)["sample"] for step in range(8)]
    assert [len(s) for s in seen] == [4, 4, 8, 8, 16, 6, 6, 6]
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(58))


def test_only_some_samples_over_and_over():
    samples = dataclasses.replace(train(1), among=4)
    batch = samples.batch_at(3)
    assert batch["sample"].tolist() == [0, 1, 2, 3] * 4
    np.testing.assert_array_equal(batch["targets"][:4], batch["targets"][4:8])


def test_bad_data_is_named():
    with pytest.raises(UserError, match="corpus 'c0': 5 tokens are fewer than the 7"):
        train(stores=[MemoryStore([5], "s")])
    with pytest.raises(UserError, match="corpus 'c0': 150 tokens .* each of its 16 streams"):
        train(stores=[MemoryStore([150], "s")], order="streams")
    with pytest.raises(UserError, match="corpus 'c0': no document has two tokens"):
        train(stores=[MemoryStore([1] * 100, "s")], order="packed")
    with pytest.raises(UserError, match="corpus 'c1': its share of the 1 rows .* is none"):
        train(2, order="streams", batch_size=1)
    with pytest.raises(UserError, match="order='streams' needs one batch size"):
        dataclasses.replace(train(1, order="streams"), pieces=((0, 16), (5, 8)))


def test_an_unused_corpus_too_small_for_a_row_is_still_named():
    documents = [MemoryStore([500], "a"), MemoryStore([500], "b")]
    with pytest.raises(UserError, match="corpus 'c1'"):
        batches.training_samples(
            Data(
                Mixture(
                    (
                        Corpus("c0", Prepared("x")),
                        Corpus("c1", Prepared("x"), documents=(0.0, 0.5)),
                    )
                )
            ),
            documents,
            OBJECTIVE,
            VOCABULARY,
            0,
        )


def test_unimax_divides_the_tokens_of_the_run():
    # 1,000 tokens and 10,000: of 4,000 the small one is given no more than its 1,000.
    stores = [MemoryStore([100] * 10, "small"), MemoryStore([100] * 100, "large")]
    corpora = tuple(Corpus(store.fingerprint, Prepared("x")) for store in stores)
    data = Data(Mixture(corpora, "unimax", budget=4000), batch_size=16)
    data.check("data")
    samples = batches.training_samples(data, stores, OBJECTIVE, VOCABULARY, 0)
    corpus = samples.examples(np.arange(4000)).corpus
    np.testing.assert_allclose(np.bincount(corpus) / 4000, [0.25, 0.75], atol=1e-3)


def test_half_of_the_streams_are_read_from_their_end():
    facts = dataclasses.replace(VOCABULARY, marks=bytes([1]) * VOCABULARY.size)
    objective = PermutationLM(20, reuse=8, both_ways=True)
    store = MemoryStore([97] * 10, "s")  # token i is i + 3
    samples = batches.training_samples(
        data_of(order="streams", batch_size=6), [store], objective, facts, 0
    )
    assert samples.batch_at(5)["encoder"]["backward"].tolist() == [0, 0, 0, 1, 1, 1]
    read = [samples.batch_at(step)["encoder"]["tokens"] - 3 for step in range(120)]
    for before, after in zip(read, read[1:], strict=False):
        for lane in range(6):
            way = -1 if lane >= 3 else 1
            assert (np.diff(after[lane]) == way).all()
            # A row begins where the row before it has been remembered, but at the corpus's end.
            if abs(after[lane, 0] - before[lane, 0]) < 500:
                assert after[lane, 0] == before[lane, 8]
    # A lane of the second half is one of the first in a mirror, and both pass over everything.
    for rows in read:
        np.testing.assert_array_equal(rows[3:], 969 - rows[:3])
    seen = np.unique(np.concatenate(read)[3::6])
    assert len(seen) > 0.97 * 970
    with pytest.raises(UserError, match="half of its 5 rows of a batch are read backwards"):
        batches.training_samples(
            data_of(order="streams", batch_size=5), [store], objective, facts, 0
        )


CORPUS = Corpus("c", Prepared("x"))


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (Data(Mixture(())), r"train\.corpora"),
        (Data(Mixture((CORPUS, CORPUS))), r"train\.corpora\[1\]\.name"),
        (Data(Mixture((dataclasses.replace(CORPUS, name="a b"),))), r"train\.corpora\[0\]\.name"),
        (Data(Mixture((dataclasses.replace(CORPUS, rate=0.0),))), r"train\.corpora\[0\]\.rate"),
        (
            Data(Mixture((dataclasses.replace(CORPUS, documents=(0.5, 0.5)),))),
            r"train\.corpora\[0\]\.documents",
        ),
        (Data(Mixture((CORPUS,), temperature=2.0)), r"train\.temperature"),
        (Data(Mixture((CORPUS,), "temperature", 0.5)), r"train\.temperature"),
        (Data(Mixture((CORPUS,), maximum=5)), r"train\.maximum"),
        (Data(Mixture((CORPUS,), "unimax", maximum=5, budget=9)), r"train\.maximum"),
        (Data(Mixture((CORPUS,), "unimax")), r"train\.budget"),
        (Data(Mixture((CORPUS,), "size", budget=9)), r"train\.budget"),
        (Data(Mixture((CORPUS,), epochs=2.0)), r"train\.epochs"),
        (Data(Mixture((CORPUS,), "unimax", budget=9, epochs=0.0)), r"train\.epochs"),
        (
            Data(Mixture((dataclasses.replace(CORPUS, rate=2.0),), "unimax", budget=9)),
            r"train\.corpora\[0\]\.rate",
        ),
        (Data(Mixture((CORPUS,), "size", maximum=0)), r"train\.maximum"),
        (Data(Mixture((CORPUS,)), batch_size=0), "batch_size"),
        (Data(Mixture((CORPUS,)), evaluation_batch_size=0), "evaluation_batch_size"),
        (Data(Mixture((CORPUS,)), read_ahead=0), "read_ahead"),
        (Data(Mixture((CORPUS,)), workers=-1), "workers"),
        (Data(Mixture((CORPUS,)), batch_ramp=((5, 4), (5, 8))), "batch_ramp"),
        (Data(Mixture((CORPUS,)), batch_ramp=((5, 0),)), "batch_ramp"),
        (Data(Mixture((CORPUS,)), order="streams", batch_ramp=((5, 4),)), "batch_ramp"),
        (Data(Mixture((CORPUS,)), evaluation=(CORPUS, CORPUS)), r"evaluation\[1\]\.name"),
    ],
)
def test_wrong_settings_are_named(data, key):
    with pytest.raises(UserError, match=rf"^config\.data\.{key}: "):
        data.check("config.data")
