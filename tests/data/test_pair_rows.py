"""Batches of pairs, alone and beside running text: every example once an epoch, by arithmetic."""

import dataclasses
import pickle

import numpy as np
import pytest

from t2t.data import batches
from t2t.data.config import Corpus, Data, Mixture
from t2t.data.inspect import inspect_lines
from t2t.data.order import continue_schedule
from t2t.data.pairs import of
from t2t.data.prepare import prepare
from t2t.data.source_config import Jsonl, Prepared, Task
from t2t.data.tokenizer_config import Bytes
from t2t.data.tokenizers import ByteTokenizer
from t2t.errors import UserError
from t2t.objectives.config import SpanCorruption, TextToText

TOKENIZER = ByteTokenizer(extra_ids=100)
OBJECTIVE = TextToText(inputs_length=40, targets_length=12)
ORDERS = ["shuffled", "packed"]


def texts_of(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs that tell their number; some too long for a row, some of nothing but it, some empty."""
    rng = np.random.default_rng(seed)
    pairs = [
        (f"{i} " + "w" * int(rng.integers(0, 45)), f"{i}" + "t" * int(rng.integers(0, 9)))
        for i in range(count)
    ]
    pairs[3] = ("", pairs[3][1])
    pairs[5] = (pairs[5][0], "")
    pairs[6] = ("6" * 39, "7" * 11)  # both just fit
    return pairs


def cut(pair: tuple[str, str], objective=OBJECTIVE) -> tuple[str, str]:
    """What a row shows of a pair of ASCII texts."""
    return pair[0][: objective.inputs_length - 1], pair[1][: objective.targets_length - 1]


@pytest.fixture(scope="module")
def store_of(tmp_path_factory):
    """Returns a function that prepares pairs of texts."""

    def prepared(pairs, name="task"):
        folder = tmp_path_factory.mktemp("store") / "pairs"
        return prepare(of(name, lambda: pairs), Bytes(), str(folder), progress=False)

    return prepared


@pytest.fixture(scope="module")
def task(store_of):
    return store_of(texts_of(60))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A store of running text, whose tokens are capital letters."""
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    rng = np.random.default_rng(9)
    letters = np.array(list("ABCDEFG"))
    lines = ["".join(rng.choice(letters, int(n))) for n in rng.integers(5, 80, 150)]
    path.write_text("".join(f'{{"text": "{line}"}}\n' for line in lines), encoding="utf-8")
    return prepare(Jsonl((str(path),)), Bytes(), str(path.parent / "store"), progress=False)


TASK = Corpus("task", Task("t"))
TEXT = Corpus("text", Prepared("x"), rate=3.0)


def train(stores, corpora=(TASK,), objective=OBJECTIVE, seed=0, mixture=None, **changes):
    data = Data(Mixture(corpora, **(mixture or {})), **{"batch_size": 8, **changes})
    data.check("data")
    return batches.training_samples(data, stores, objective, TOKENIZER.vocabulary, seed)


def held_out(store, **changes):
    data = Data(Mixture((TASK,)), evaluation=(TASK,), **{"batch_size": 8, **changes})
    samples = batches.evaluation_samples(data, [store], OBJECTIVE, TOKENIZER.vocabulary, 0)
    return samples["task"]


def shown(batch) -> list[tuple[str, str]]:
    """The pairs in the rows of a batch, decoded, in order."""
    found = []
    for row in range(len(batch["targets"])):
        where, to = batch["encoder"]["segments"][row], batch["decoder"]["segments"][row]
        assert where.max() == to.max()
        np.testing.assert_array_equal(batch["weights"][row], to > 0)
        for segment in range(1, int(where.max()) + 1):
            inputs = batch["encoder"]["tokens"][row][where == segment]
            targets = batch["targets"][row][to == segment]
            assert inputs[-1] == targets[-1] == TOKENIZER.vocabulary.eos_id
            found.append((TOKENIZER.decode(inputs), TOKENIZER.decode(targets)))
    return found


def flat(batch):
    return {
        f"{name}/{key}": value
        for name, part in batch.items()
        for key, value in (part if isinstance(part, dict) else {"": part}).items()
    }


def assert_equal(a, b):
    a, b = flat(a), flat(b)
    assert set(a) == set(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("part", [(0.0, 1.0), (0.5, 0.9)])
def test_an_epoch_shows_every_example_exactly_once(task, order, part):
    corpus = dataclasses.replace(TASK, documents=part)
    samples = train([task], (corpus,), order=order)
    first, last = (int(share * 60) for share in part)
    wanted = sorted(cut(pair) for pair in texts_of(60)[first:last])
    rows, orders = samples.corpora[0].rows, []
    assert rows == last - first if order == "shuffled" else rows < last - first
    for epoch in range(3):
        pairs = shown(samples.rows(np.arange(rows) + epoch * rows))
        assert sorted(pairs) == wanted
        orders.append(pairs)
    assert orders[0] != orders[1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_held_out_examples_come_once_and_the_last_batch_is_filled_up(task, order, size):
    samples = held_out(task, order=order, evaluation_batch_size=size)
    found = []
    for step in range(samples.batches):
        batch = samples.batch_at(step)
        assert batch["targets"].shape == (size, 12)
        found += shown(batch)
    assert sorted(found) == sorted(map(cut, texts_of(60)))
    assert order == "packed" or found == [cut(pair) for pair in texts_of(60)]


def test_what_is_cut_is_counted(task):
    pairs = texts_of(60)
    inputs, targets = (sum(len(p[i]) > most for p in pairs) for i, most in ((0, 39), (1, 11)))
    rows = train([task]).corpora[0]
    assert inputs > 0 and rows.pairs.truncated() == (inputs, targets)
    assert f"{inputs} inputs and {targets} targets were too long and cut" in rows.describe()
    roomy = train([task], objective=TextToText(64, 64), order="packed").corpora[0]
    assert roomy.pairs.truncated() == (0, 0)


@pytest.mark.parametrize("order", ORDERS)
def test_mixed_batches_are_a_function_of_seed_and_sample_on_any_hosts(task, text, order):
    samples = train([task, text], (TASK, TEXT), SpanCorruption(40), order=order)
    for step in (0, 3, 500):
        whole = samples.batch_at(step)
        for hosts in (2, 8):
            size = 8 // hosts
            parts = [
                flat(samples.batch_at(step, slice(h * size, (h + 1) * size))) for h in range(hosts)
            ]
            for name, array in flat(whole).items():
                np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), array)
    assert_equal(pickle.loads(pickle.dumps(samples)).batch_at(7), samples.batch_at(7))
    other = train([task, text], (TASK, TEXT), SpanCorruption(40), order=order, seed=1).batch_at(7)
    assert (other["targets"] != samples.batch_at(7)["targets"]).any()


@pytest.mark.parametrize("order", ORDERS)
def test_rows_of_tasks_and_of_text_are_those_of_either_alone(task, text, order):
    """In a mixture by 1 to 3 a quarter of the rows are the task's, as it is, in its own order."""
    objective = SpanCorruption(40)
    samples = train([task, text], (TASK, TEXT), objective, order=order)
    alone = train(
        [task], objective=TextToText(40, samples.batch_at(0)["targets"].shape[1]), order=order
    )
    batch = samples.rows(np.arange(400))
    corpus = samples.examples(np.arange(400)).corpus
    assert np.bincount(corpus).tolist() == [100, 300]
    mine = {name: array[corpus == 0] for name, array in flat(batch).items()}
    only = flat(alone.rows(np.arange(100)))
    for name in set(mine) - {"sample/"}:
        np.testing.assert_array_equal(mine[name], only[name], err_msg=name)
    sentinels = np.isin(batch["targets"], TOKENIZER.vocabulary.sentinels).any(axis=1)
    np.testing.assert_array_equal(sentinels, corpus == 1)


def test_going_on_with_another_batch_size_skips_no_example(task):
    samples = train([task], batch_size=10)
    resumed = dataclasses.replace(samples, pieces=continue_schedule(((0, 10),), ((0, 4),), 3))
    steps = [resumed.batch_at(s) for s in range(3)] + [resumed.batch_at(s) for s in range(3, 11)]
    found = [len(s["sample"]) for s in steps[:3]], sum(len(s["sample"]) for s in steps)
    assert found == ([10, 10, 10], 62)
    pairs = [pair for step in steps for pair in shown(step)][:60]
    assert sorted(pairs) == sorted(map(cut, texts_of(60)))


def test_shares_by_size_are_t5s_in_examples(store_of, text):
    """Examples-proportional mixing with a limit: 300 and 60 examples, the first capped to 120."""
    stores = [store_of(texts_of(300)), store_of(texts_of(60, seed=1))]
    corpora = Corpus("large", Task("a")), Corpus("small", Task("b"))

    def shares(order="shuffled", **mixture):
        samples = train(stores, corpora, order=order, mixture=mixture)
        examples = samples.examples(np.arange(6000))
        of_rows = np.bincount(examples.corpus, minlength=2) / 6000
        of_examples = np.bincount(np.repeat(examples.corpus, examples.in_row), minlength=2)
        return of_rows, of_examples / of_examples.sum()

    np.testing.assert_allclose(shares()[0], [1 / 2, 1 / 2], atol=1e-3)
    np.testing.assert_allclose(shares(weighting="size")[0], [5 / 6, 1 / 6], atol=1e-3)
    capped = {"weighting": "size", "maximum": 120}
    np.testing.assert_allclose(shares(**capped)[0], [2 / 3, 1 / 3], atol=1e-3)
    heated = {"weighting": "temperature", "temperature": 2.0, "maximum": 240}
    np.testing.assert_allclose(shares(**heated)[0], [2 / 3, 1 / 3], atol=1e-3)
    # Packed rows hold several examples, of one task more than of another; the examples' shares stay.
    np.testing.assert_allclose(shares("packed", **capped)[1], [2 / 3, 1 / 3], atol=5e-3)


def test_text_beside_tasks_counts_in_rows(task, text):
    objective, mixture = SpanCorruption(40), {"weighting": "size"}
    corpora = TASK, dataclasses.replace(TEXT, rate=1.0)
    samples = train([task, text], corpora, objective, mixture=mixture)
    rows = samples.corpora[1].rows
    corpus = samples.examples(np.arange(20_000)).corpus
    assert (corpus == 0).mean() == pytest.approx(60 / (60 + rows), abs=1e-3)


def test_the_lines_show_pairs(task):
    for order in ORDERS:
        samples = train([task], order=order)
        lines = inspect_lines(samples, TOKENIZER, 1, rows=8)
        text, batch = "\n".join(lines), samples.batch_at(1)
        wanted = shown(batch)
        names = [line.split(": ")[1] for line in lines if line.startswith("  example ")]
        assert len(names) == len(wanted)
        for pair, place in zip(wanted, names, strict=True):
            number = int(place.split()[1])
            whole = texts_of(60)[number]
            assert cut(whole) == pair
            said = f"the input is cut from {len(whole[0])} tokens to 39" in place
            assert said == (len(whole[0]) > 39)
            assert f"inputs ({len(pair[0]) + 1}): {pair[0]}\n" in text + "\n"
        assert "corpus task: 100.0% of the rows here; 60 pairs, " in text
        assert f"{(batch['encoder']['segments'] > 0).mean():.2%} filled" in lines[1]
    mixed = train([task], order="packed").corpora[0].plan
    assert f"encoder {mixed.encoder_fill:.2%} and targets {mixed.targets_fill:.2%} filled" in text


def test_what_a_vocabulary_cannot_spell_is_refused(task):
    pairs = train([task]).corpora[0].pairs
    pairs.check_spelling("task", TOKENIZER.vocabulary.unk_id)
    with pytest.raises(UserError, match=r"^corpus 'task': .* cannot spell \d+% of its inputs' tok"):
        pairs.check_spelling("task", unknown=ord("w") + 3)
    with pytest.raises(
        UserError, match=r"^corpus 'task': .* cannot spell \d+% of its targets' tok"
    ):
        pairs.check_spelling("task", unknown=ord("t") + 3)


def test_misplaced_corpora_are_named(task, text):
    with pytest.raises(UserError, match="corpus 'text': TextToText takes pairs"):
        train([text], (TEXT,))
    with pytest.raises(UserError, match=r"corpus 'text': .* holds the pairs of a task"):
        train([task], (TEXT,), SpanCorruption(40))
    # A prepared store of pairs is a task where nothing else is expected.
    assert shown(train([task], (TEXT,)).batch_at(0)) == shown(
        train([task], (dataclasses.replace(TASK, name="text"),)).batch_at(0)
    )
    with pytest.raises(UserError, match=r"no example in the part \(0.0, 0.01\)"):
        train([task], (dataclasses.replace(TASK, documents=(0.0, 0.01)),))
    with pytest.raises(UserError, match=r"^data\.train\.corpora\[0\]: order='streams' needs"):
        train([task], order="streams")
