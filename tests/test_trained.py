"""A run made for published weights: of their own kin, and sound."""

import pytest

from t2t import run as runs
from t2t.data.tokenizer_config import Bytes, Subwords
from t2t.data.tokenizers import load
from t2t.models.families import albert, bert, distilbert, gpt2, llama, roberta
from t2t.objectives.config import CausalLM, MaskedLM
from t2t.trained import published_run

SMALL = {"d_model": 32, "heads": 4, "head_dim": 8, "d_ff": 64, "vocab_size": 384}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]) + "\n")
    return Subwords(str(path))


@pytest.mark.parametrize(
    "family, size, positions, objective",
    [
        (gpt2, "small", {"learned_positions": 64}, CausalLM(64)),
        (llama, "7b", {"kv_heads": 2}, CausalLM(2048)),
        (bert, "base", {"learned_positions": 64}, MaskedLM(64, pairs="next_sentence")),
        (roberta, "base", {}, MaskedLM(512)),
        (distilbert, "base", {}, MaskedLM(512)),
        (albert, "base", {}, MaskedLM(512, pairs="next_sentence")),
    ],
)
def test_a_run_of_their_kin(words, family, size, positions, objective):
    arch = family.architecture(size, **SMALL, **positions)
    tokenizer = words if arch.encoder_layers else Bytes()
    run = published_run(arch, tokenizer, load(tokenizer).vocabulary, "there")
    runs.check(run)
    assert run.model == arch and type(run.objective) is type(objective)
    assert run.objective.length == objective.length
    assert getattr(run.objective, "pairs", "") == getattr(objective, "pairs", "")
