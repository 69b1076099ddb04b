"""Runs of an encoder alone and of a decoder alone, from the command's own door to the last line."""

import dataclasses
import json

import pytest

from t2t import run as runs
from t2t.cli import main
from t2t.data.tokenizer_config import Bytes, TrainedSubwords
from t2t.errors import UserError
from t2t.objectives.config import (
    CausalLM,
    MaskedLM,
    NGrams,
    PermutationLM,
    SpanCorruption,
    TextToText,
)
from t2t.training.optimizer_config import AdamW
from t2t.training.schedule_config import Linear
from tests import tiny

ENCODER = {
    "encoder_layers": 2,
    "decoder_layers": 0,
    "learned_positions": 64,
    "relative_bias": "none",
    "norm": "layer",
    "norm_place": "after",
    "token_types": 2,
    "embedding_norm": True,
    "tied_embedding": True,
    "head": "masked",
    "pair_classes": 2,
    "initialization": "normal",
}
XLNET = {
    "encoder_layers": 2,
    "decoder_layers": 0,
    "relative_attention": True,
    "scaled_attention": True,
    "relative_bias": "none",
    "norm": "layer",
    "norm_place": "after",
    "tied_embedding": True,
    "vocabulary_bias": True,
    "initialization": "normal",
}
DECODER = {"encoder_layers": 0, "decoder_layers": 2}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny.write_text(tmp_path_factory.mktemp("text"))


def run_of(text, objective, model, tokenizer, order="packed", **evaluation):
    run = tiny.get_config(str(text))
    arch, generator = dataclasses.replace(run.model, vocab_size=640, **model), None
    if arch.head == "replaced":
        width = arch.embedding_width
        narrow = {"d_model": width, "heads": 2, "d_embedding": 0, "head": "masked"}
        generator = dataclasses.replace(arch, **narrow)
    return dataclasses.replace(
        run,
        model=arch,
        generator=generator,
        tokenizer=tokenizer,
        objective=objective,
        data=dataclasses.replace(run.data, order=order),
        optimizer=AdamW(),
        schedule=Linear(peak=1e-2, warmup_steps=2),
        training=dataclasses.replace(run.training, steps=24, z_loss=0.0),
        evaluation=dataclasses.replace(
            run.evaluation, every_steps=24, input_blind=True, **evaluation
        ),
    )


WORDPIECE = TrainedSubwords("wordpiece", 600)
RUNS = {
    "bert": (MaskedLM(64, pairs="next_sentence", static_copies=2), ENCODER, WORDPIECE, "packed"),
    "albert": (
        MaskedLM(64, unit=NGrams(), pairs="sentence_order"),
        {**ENCODER, "layer_groups": 1, "d_embedding": 16, "biases": True},
        WORDPIECE,
        "shuffled",
    ),
    "gpt": (CausalLM(64), DECODER, TrainedSubwords("byte_bpe", 600), "packed"),
    "electra": (
        MaskedLM(64, masked=0.85, random=0.0),
        {**ENCODER, "head": "replaced", "pair_classes": 0, "d_embedding": 16},
        WORDPIECE,
        "shuffled",
    ),
    "xlnet": (PermutationLM(64, memory=32, both_ways=True), XLNET, WORDPIECE, "streams"),
    "gpt_bytes": (CausalLM(64), DECODER, Bytes(), "shuffled"),
}


def get_config(arg: str):
    """arg: NAME:TEXT."""
    name, _, text = arg.partition(":")
    return run_of(text, *RUNS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_it_learns_and_says_so(name, text, tmp_path, capsys):
    recipe = tmp_path / "recipe.py"
    recipe.write_text("from tests.training.test_objectives import get_config\n")
    assert main(["train", f"--config={recipe}:{name}:{text}", f"--workdir={tmp_path}"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    held_out = [row["loss"] for row in rows if row["split"] == "eval/held_out"]
    assert len(held_out) == 2 and held_out[1] < held_out[0] - 0.5
    if name == "electra":
        assert all(row["replaced_loss"] > 0 for row in rows)
        assert rows[-1]["replaced_accuracy"] > 0.5 < rows[-1]["original_share"] < 1
    if RUNS[name][1] is ENCODER:
        assert all(0 <= row["pair_accuracy"] <= 1 and row["pair_loss"] > 0 for row in rows)
    shown = capsys.readouterr().err
    assert "best predictor that cannot see the input" in shown
    assert ("inputs exchanged" in shown) == ("gpt" not in name)


def test_what_does_not_go_together_is_named(text):
    def refused(match, *args, **evaluation):
        with pytest.raises(UserError, match=match):
            runs.check(run_of(text, *args, **evaluation))

    refused(
        r"config.objective: CausalLM is for a decoder alone, and config.model is an encoder alone "
        r"\(2 encoder and 0 decoder layers\)",
        CausalLM(64),
        ENCODER,
        WORDPIECE,
    )
    refused("MaskedLM is for an encoder alone", MaskedLM(64), DECODER, WORDPIECE)
    refused("SpanCorruption is for an encoder-decoder", SpanCorruption(64), DECODER, Bytes())
    refused(r"learned_positions: 64 are fewer than the 128", MaskedLM(128), ENCODER, WORDPIECE)
    pairs = MaskedLM(64, pairs="sentence_order")
    refused("config.model.pair_classes: 0", pairs, {**ENCODER, "pair_classes": 0}, WORDPIECE)
    refused(r"has no \[MASK\]", MaskedLM(64), ENCODER, Bytes())
    static = MaskedLM(64, static_copies=3)
    refused("static_copies: masks come again", static, ENCODER, WORDPIECE, "shuffled")
    alone = {**ENCODER, "head": "replaced", "pair_classes": 0}
    run = run_of(text, MaskedLM(64), alone, WORDPIECE)
    for change, match in (
        ({"generator": None}, "'replaced' tells no tokens, which MaskedLM asks for"),
        ({"objective": pairs}, "config.objective.pairs: 'sentence_order'|pair_classes"),
        ({"training": dataclasses.replace(run.training, layer_decay=0.9)}, "training.layer_decay"),
        ({"generator": dataclasses.replace(run.generator, d_embedding=8)}, "embedding_width: 8"),
    ):
        with pytest.raises(UserError, match=match):
            runs.check(dataclasses.replace(run, **change))
    refused(
        "config.evaluation.examples: .* tells replaced", MaskedLM(64), alone, WORDPIECE, examples=2
    )
    refused("text, and TextToText .* take MaskedLM", TextToText(64, 8), ENCODER, WORDPIECE)
    told = {"objective": TextToText(64, 8), "generator": None}
    with pytest.raises(UserError, match="config.model.head: 'replaced' tells no words"):
        runs.check(dataclasses.replace(run, **told))
