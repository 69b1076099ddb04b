"""Directories of `...Model`, the stack without a head: what they compute, and what they may be used for."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from t2t.cli import main
from t2t.errors import UserError
from t2t.interop import huggingface
from t2t.interop.published import parameters
from t2t.models.transformer import build
from t2t.objectives.config import Classes
from t2t.training.initial import initial_parameters
from t2t.training.initial_config import FromHuggingFace
from tests.interop.test_fine_tuned_heads import tuned
from tests.published_files import write_huggingface
from tests.tiny_judged import write_task

PREFIXES = {"megatron-bert": "bert", "xlnet": "transformer"}
CLASSIFIERS = ("classifier.", "logits_proj.", "sequence_summary.", "pre_classifier.")


def bare(name: str, folder):
    """Writes a family's encoder as its ...Model is saved; returns its axes and parameters."""
    arch, leaves, _ = tuned(name, folder)
    prefix = f"{PREFIXES.get(name, name)}."
    tensors = load_file(folder / "model.safetensors")
    tensors = {
        n.removeprefix(prefix): t for n, t in tensors.items() if not n.startswith(CLASSIFIERS)
    }
    assert not any(n.startswith(prefix) for n in tensors)
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"], config["problem_type"], config["architectures"]
    (folder / "config.json").write_text(json.dumps(config))
    return arch, leaves


ENCODERS = ["bert", "megatron-bert", "ernie", "albert", "roberta", "distilbert", "electra", "xlnet"]
POOLED = ENCODERS[:4]


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_alone_is_read_and_begins_a_classifier(name, tmp_path):
    arch, leaves = bare(name, tmp_path)
    found = huggingface.open_directory(str(tmp_path))
    assert found.headless and found.arch == dataclasses.replace(
        arch, pair_classes=0, dropout=found.arch.dropout
    )
    for path, leaf in found.leaves.items():
        np.testing.assert_array_equal(leaf.whole(), leaves[path].whole())
    assert set(leaves) - set(found.leaves) == {p for p in leaves if p[0] == "pair_head"}
    assert len(found.pooler) == 2 * (name in POOLED)
    said = []
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = build(arch).shapes
    wanted = jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), wanted)
    params, _ = initial_parameters(
        FromHuggingFace(str(tmp_path)), wanted, said.append, Classes(("a", "b", "c"))
    )
    if name in POOLED:
        assert said[0] == "the classifier is new: drawn at random"
        np.testing.assert_array_equal(
            params["pair_head"]["pooler"]["kernel"], leaves["pair_head", "pooler", "kernel"].whole()
        )
        assert list(params["pair_head"]) == ["pooler"]
    else:
        assert said[0] == "the classifier and what it pools by are new: drawn at random"
        assert "pair_head" not in params


def test_what_needs_a_head_is_refused_in_one_line(tmp_path, capsys):
    bare("bert", tmp_path / "hf")
    for command in (
        ["eval", f"--workdir={tmp_path / 'hf'}", "--tasks=glue_sst2"],
        ["convert", str(tmp_path / "hf"), str(tmp_path / "to"), "--to=huggingface"],
    ):
        assert main(command) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert "is an encoder without a head, which tells nothing by itself; train one:" in line
    assert not (tmp_path / "to").exists()


def test_a_t5_without_its_head_is_whole_where_it_had_none(tmp_path):
    tied = {"feed_forward_proj": "relu", "tie_word_embeddings": True}
    write_huggingface(tmp_path / "a", {"architectures": ["T5Model"], **tied}, tied=True)
    assert huggingface.open_directory(str(tmp_path / "a")).arch.tied_embedding
    write_huggingface(tmp_path / "b", {"architectures": ["T5Model"]}, tied=True)
    with pytest.raises(UserError, match="a T5Model, .* a head of its own .lm_head.weight. that is"):
        huggingface.open_directory(str(tmp_path / "b"))

    def encoder_alone(tensors):
        for name in [n for n in tensors if n.startswith("decoder.")]:
            del tensors[name]

    write_huggingface(tmp_path / "c", edit=encoder_alone)
    with pytest.raises(UserError, match="an encoder's alone, which writes no words"):
        huggingface.open_directory(str(tmp_path / "c"))


COMMON = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
COMMON |= {"intermediate_size": 48}
DISTIL = {"vocab_size": 100, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48}
GPT2 = {"vocab_size": 100, "n_embd": 32, "n_layer": 3, "n_head": 4}
XLNET = {"vocab_size": 100, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48}
T5 = {"vocab_size": 128, "d_model": 32, "num_layers": 2, "num_heads": 4, "d_kv": 8, "d_ff": 48}
# class -> (its configuration, largest relative difference); theirs has norms, rotary angles and
# XLNet's sinusoids in float32 whatever the model's type.
CASES = {
    "BertModel": (COMMON, 1e-12),
    "RobertaModel": ({**COMMON, "type_vocab_size": 1}, 1e-12),
    "DistilBertModel": (DISTIL, 1e-12),
    "ElectraModel": ({**COMMON, "embedding_size": 16}, 1e-12),
    "AlbertModel": ({**COMMON, "embedding_size": 16}, 1e-12),
    "ErnieModel": ({**COMMON, "type_vocab_size": 4}, 1e-12),
    "MegatronBertModel": (COMMON, 1e-12),
    "XLNetModel": (XLNET, 1e-5),
    "GPT2Model": (GPT2, 1e-12),
    "LlamaModel": ({**COMMON, "tie_word_embeddings": True}, 1e-6),
    "T5Model": (T5, 1e-6),
}


def saved(name: str, folder, **changes):
    """Returns a random model of theirs in float64, saved in `folder`."""
    torch = pytest.importorskip("torch")
    cls = getattr(pytest.importorskip("transformers"), name)
    torch.manual_seed(0)
    model = cls(cls.config_class(**{**CASES[name][0], **changes})).eval()
    with torch.no_grad():
        for one in model.parameters():
            one.add_(torch.randn_like(one) * 0.1)
    model.save_pretrained(folder)
    return model.double()


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_hidden_states_are_theirs(name, tmp_path):
    import torch

    model = saved(name, tmp_path)
    tokens = np.random.default_rng(3).integers(7, 100, (2, 21))
    given = {"input_ids": torch.as_tensor(tokens)}
    if name == "T5Model":
        given["decoder_input_ids"] = given["input_ids"].flip(1)
    with torch.no_grad():
        want = model(**given).last_hidden_state.numpy()
    found = huggingface.open_directory(str(tmp_path))
    assert found.headless == (name not in ("GPT2Model", "LlamaModel", "T5Model"))
    side = {"tokens": tokens.astype(np.int32)}
    batch = {"encoder": side, "decoder": side}
    if name == "T5Model":
        batch["decoder"] = {"tokens": side["tokens"][:, ::-1]}
    with jax.enable_x64(True):
        ours = build(dataclasses.replace(found.arch, dtype="float64"))
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        shapes = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=place), ours.shapes
        )
        params = parameters(found.leaves, shapes)
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
        got = np.asarray(jax.jit(lambda p, b: ours.forward(p, b)[0])(params, batch))
    apart = np.abs(got - want).max() / np.abs(want).max()
    print(f"{name}: {apart:.1e}")
    assert apart < CASES[name][1]


@pytest.mark.slow
def test_decoders_whose_head_is_elsewhere_are_refused(tmp_path):
    saved("LlamaModel", tmp_path / "llama", tie_word_embeddings=False)
    with pytest.raises(UserError, match="missing: lm_head.weight"):
        huggingface.open_directory(str(tmp_path / "llama"))
    saved("T5Model", tmp_path / "t5")
    config = json.loads((tmp_path / "t5/config.json").read_text())
    config |= {"feed_forward_proj": "relu", "scale_decoder_outputs": False}  # as v1.1's are saved
    (tmp_path / "t5/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="a T5Model, which was trained with a head of its own"):
        huggingface.open_directory(str(tmp_path / "t5"))


@pytest.mark.slow
def test_it_is_fine_tuned_by_the_recipe(tmp_path, capsys):
    task = write_task(tmp_path)
    bare("bert", tmp_path / "hf")
    (tmp_path / "hf" / "vocab.txt").write_text((tmp_path / "vocab.txt").read_text())
    run = tmp_path / "run"
    few = ["--config.training.steps=2", "--config.schedule.warmup_steps=1"]
    few += ["--config.data.batch_size=8", "--config.evaluation.examples=0"]
    given = ["train", f"--config=finetune:{task}:{tmp_path / 'hf'}", f"--workdir={run}", *few]
    assert main(given) == 0, capsys.readouterr().err
    said = capsys.readouterr().err
    assert "the classifier is new: drawn at random" in said
    assert f"begins with the parameters of {tmp_path / 'hf'}" in said
    assert main(["eval", f"--workdir={run}", f"--tasks={task}", "--resamples=0"]) == 0
