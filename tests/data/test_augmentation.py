"""Noise on inputs: how much of it, on what, and that a row's is its sample's own."""

import dataclasses

import numpy as np
import pytest

from t2t import run as runs
from t2t.data.augmentation import augmented, start_rate
from t2t.data.augmentation_config import Augmentation
from t2t.data.vocabulary import Vocabulary
from t2t.errors import UserError
from t2t.training.inputs import open_inputs
from tests import tiny

VOCABULARY = Vocabulary(1000, tuple(range(990, 1000)), "")
ROWS, LENGTH = 400, 128


@pytest.fixture(scope="module")
def batch() -> dict:
    """Rows of ordinary tokens, every tenth a sentinel, an end of sequence, then padding."""
    tokens = np.random.default_rng(0).integers(3, 990, (ROWS, LENGTH)).astype(np.int32)
    tokens[:, ::10] = 995
    tokens[:, 100], tokens[:, 101:] = 1, 0
    return {"encoder": {"tokens": tokens}, "targets": tokens, "sample": np.arange(ROWS) + 7}


def changed(cfg: Augmentation, batch: dict, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Returns (new tokens, which of them differ)."""
    new = augmented(cfg, VOCABULARY, seed, batch)["encoder"]["tokens"]
    return new, new != batch["encoder"]["tokens"]


def test_dropped_tokens_are_unknown_and_as_many_as_asked(batch):
    new, gone = changed(Augmentation(token_dropout=0.2), batch)
    ordinary = ~np.isin(batch["encoder"]["tokens"], VOCABULARY.special_ids())
    assert not gone[~ordinary].any() and (new[gone] == VOCABULARY.unk_id).all()
    n = ordinary.sum()
    assert gone[ordinary].sum() == pytest.approx(0.2 * n, abs=4 * np.sqrt(n * 0.2 * 0.8))


@pytest.mark.parametrize("share, mean", [(0.1, 1.0), (0.15, 3.0), (0.5, 10.0)])
def test_replaced_spans_cover_the_share_and_have_the_length(batch, share, mean):
    # Rows of nothing but ordinary tokens, so that runs of changed ones are the spans.
    whole = {**batch, "encoder": {"tokens": np.full((ROWS, LENGTH), 5, np.int32)}}
    new, gone = changed(Augmentation(span_replacement=share, mean_span_length=mean), whole)
    inner = gone[:, 40:]  # a row's beginning has no span from before it
    spread = 4 * np.sqrt(share * (1 - share) * 2 * mean / inner.size)
    assert inner.mean() == pytest.approx(share, abs=spread)
    assert new[gone].min() >= 3 and new[gone].max() < 990
    counts = np.bincount(new[gone], minlength=990)[3:]
    assert counts.std() < 2 * np.sqrt(counts.mean()), "drawn evenly"
    # After a token outside all spans the next is in one only where a span begins there: with how many
    # tokens are covered, this tells their mean length.
    outside = ~gone[:, 40:-1]
    begun = gone[:, 41:][outside].mean()
    rate = start_rate(share, mean)
    assert begun == pytest.approx(rate, abs=4 * np.sqrt(rate / outside.sum()))
    assert rate * mean == pytest.approx(-np.log1p(-share), rel=0.06), "few begin inside another"


def test_what_is_no_text_is_never_replaced(batch):
    _, gone = changed(Augmentation(span_replacement=0.6), batch)
    assert not gone[np.isin(batch["encoder"]["tokens"], VOCABULARY.special_ids())].any()
    assert gone.any()


def test_a_row_is_its_samples_own(batch):
    cfg = Augmentation(token_dropout=0.1, span_replacement=0.2)
    new, _ = changed(cfg, batch)
    order = np.random.default_rng(1).permutation(ROWS)[:50]
    some = {
        "encoder": {"tokens": batch["encoder"]["tokens"][order]},
        "sample": batch["sample"][order],
    }
    assert np.array_equal(changed(cfg, some)[0], new[order])
    assert not np.array_equal(changed(cfg, batch, seed=4)[0], new)


def test_a_decoder_alone_is_changed_in_its_inputs_only(batch):
    alone = {**{k: v for k, v in batch.items() if k != "encoder"}, "decoder": batch["encoder"]}
    new = augmented(Augmentation(token_dropout=0.5), VOCABULARY, 0, alone)
    assert (new["decoder"]["tokens"] != alone["decoder"]["tokens"]).any()
    assert new["targets"] is alone["targets"]


def test_a_run_changes_training_inputs_and_nothing_else(tmp_path):
    plain = tiny.get_config(str(tiny.write_text(tmp_path)))
    noisy = dataclasses.replace(
        plain, data=dataclasses.replace(plain.data, augmentation=Augmentation(token_dropout=0.3))
    )
    one, other = (open_inputs(run, lambda text: None) for run in (plain, noisy))
    before, after = (inputs.train.batch_at(2) for inputs in (one, other))
    for part in ("targets", "weights", "sample"):
        assert np.array_equal(before[part], after[part])
    assert np.array_equal(before["decoder"]["tokens"], after["decoder"]["tokens"])
    gone = before["encoder"]["tokens"] != after["encoder"]["tokens"]
    assert 0.2 < gone.mean() < 0.3
    assert np.array_equal(other.train.batch_at(2, slice(3, 5))["encoder"]["tokens"],
                          after["encoder"]["tokens"][3:5])  # fmt: skip
    held = (inputs.heldout["held_out"].batch_at(0) for inputs in (one, other))
    assert np.array_equal(*(batch["encoder"]["tokens"] for batch in held))


@pytest.mark.parametrize(
    "key, value", [("token_dropout", 1.0), ("span_replacement", -0.1), ("mean_span_length", 0.5)]
)
def test_what_cannot_be_is_refused(tmp_path, key, value):
    run = tiny.get_config(str(tiny.write_text(tmp_path)))
    wrong = dataclasses.replace(run.data, augmentation=Augmentation(**{key: value}))
    with pytest.raises(UserError, match=rf"config\.data\.augmentation\.{key}"):
        runs.check(dataclasses.replace(run, data=wrong))
