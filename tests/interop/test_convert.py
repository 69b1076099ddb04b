"""`t2t convert` and what loads its results: one line for what is wrong, the same bits everywhere."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization

from t2t import run as runs
from t2t.cli import main
from t2t.interop import huggingface
from t2t.models.transformer import build
from t2t.training.checkpoint_reading import steps_in
from t2t.training.checkpoints import open_checkpoints
from t2t.training.streamed_checkpoint import stored_parameters
from tests import tiny
from tests.published_files import CONFIG, t5x_target, write_huggingface, write_t5x


def run(capsys, *arguments, code=0) -> tuple[str, str]:
    found = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert found == code, err
    return out, err


def refused(capsys, *arguments) -> str:
    out, err = run(capsys, *arguments, code=2)
    assert out == "" and err.count("\n") == 1 and err.startswith("t2t: "), err
    return err


def same_weights(a, b):
    a, b = huggingface.open_directory(str(a)), huggingface.open_directory(str(b))
    assert a.arch == b.arch and a.tokenizer == b.tokenizer
    for path, leaf in a.leaves.items():
        assert b.leaves[path].dtype == leaf.dtype
        np.testing.assert_array_equal(b.leaves[path].whole(), leaf.whole())


def test_there_and_back_through_a_run(capsys, tmp_path):
    write_huggingface(tmp_path / "hf")
    run(capsys, "convert", tmp_path / "hf", tmp_path / "run", "--to=t2t")
    saved = runs.load_saved(str(tmp_path / "run"))
    assert saved.model == huggingface.open_directory(str(tmp_path / "hf")).arch
    assert steps_in(tmp_path / "run" / "checkpoints") == [0]
    run(capsys, "convert", tmp_path / "run", tmp_path / "back", "--to=huggingface")
    same_weights(tmp_path / "hf", tmp_path / "back")
    assert not list(tmp_path.glob("*.partial"))
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["model_type"] == "t5" and config["tie_word_embeddings"] is False
    start = json.loads((tmp_path / "back" / "generation_config.json").read_text())
    assert start["decoder_start_token_id"] == 0


def test_generate_is_the_same_from_either(capsys, tmp_path):
    write_huggingface(tmp_path / "hf")
    (tmp_path / "in.txt").write_text("one line\nanother <extra_id_0> line\n")
    outputs = []
    run(capsys, "convert", tmp_path / "hf", tmp_path / "run", "--to=t2t")
    for workdir in ("hf", "run"):
        target = tmp_path / f"{workdir}.jsonl"
        run(
            capsys, "generate", f"--workdir={tmp_path / workdir}", f"--input={tmp_path / 'in.txt'}",
            "--max-tokens=6", f"--output={target}",
        )  # fmt: skip
        outputs.append([json.loads(line) for line in target.read_text().splitlines()])
    assert len(outputs[0]) >= 2 and outputs[0] == outputs[1]


def test_a_t5x_checkpoint_becomes_a_run_and_a_directory(capsys, tmp_path):
    tensors = write_huggingface(tmp_path / "hf")
    write_t5x(tmp_path / "t5x", t5x_target(tensors, CONFIG))
    assert "--tokenizer" in refused(
        capsys, "convert", tmp_path / "t5x", tmp_path / "run", "--to=t2t"
    )
    run(capsys, "convert", tmp_path / "t5x", tmp_path / "run", "--to=t2t", "--tokenizer=bytes")
    run(capsys, "convert", tmp_path / "run", tmp_path / "b", "--to=huggingface", "--family=mt5")
    assert json.loads((tmp_path / "b" / "config.json").read_text())["model_type"] == "mt5"
    run(capsys, "convert", tmp_path / "t5x", tmp_path / "c", "--to=huggingface")
    from safetensors.numpy import load_file

    for name in "bc":
        found = load_file(tmp_path / name / "model.safetensors")
        assert set(found) == set(tensors)
        for key, tensor in tensors.items():
            np.testing.assert_array_equal(found[key], tensor)


def test_a_type_and_a_size_of_shards(capsys, tmp_path):
    write_huggingface(tmp_path / "hf")
    run(
        capsys, "convert", tmp_path / "hf", tmp_path / "b", "--to=huggingface",
        "--dtype=bfloat16", "--shard-size=10KB",
    )  # fmt: skip
    found = huggingface.open_directory(str(tmp_path / "b"))
    assert {leaf.dtype.name for leaf in found.leaves.values()} == {"bfloat16"}
    assert len(list((tmp_path / "b").glob("model-*.safetensors"))) > 2
    run(capsys, "convert", tmp_path / "b", tmp_path / "run", "--to=t2t")
    _, leaves = stored_parameters(str(tmp_path / "run" / "checkpoints"), found.arch)
    for path, leaf in leaves.items():
        assert leaf.dtype.name == "bfloat16"
        np.testing.assert_array_equal(leaf.whole(), found.leaves[path].whole())


def test_a_converted_step_is_a_checkpoint_like_any_other(capsys, tmp_path):
    """Orbax's manager keeps and deletes it; a flipped bit in it is noticed."""
    write_huggingface(tmp_path / "hf")
    run(capsys, "convert", tmp_path / "hf", tmp_path / "run", "--to=t2t")
    saved = runs.load_saved(str(tmp_path / "run"))
    folder = tmp_path / "run" / "checkpoints"
    store = open_checkpoints(str(folder), saved.checkpoints)
    assert store.latest_step() == 0
    store.save(1, {"params": {"x": np.zeros(3, np.float32)}}, {})
    store.wait()
    assert store.steps() == [0, 1]
    store.close()
    chunk = next((folder / "0" / "state" / "params.encoder.relative_bias.table").glob("[0-9]*"))
    data = bytearray(chunk.read_bytes())
    data[5] ^= 16
    chunk.write_bytes(data)
    out, err = run(
        capsys, "convert", tmp_path / "run", tmp_path / "x", "--to=huggingface", "--step=0", code=1
    )
    assert "encoder/relative_bias/table: its data is damaged" in err.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_a_run_of_ours_becomes_a_directory(capsys, tmp_path):
    """From a step that the training loop's own store has written, its newest."""
    run_of_ours = tiny.get_config(str(tiny.write_text(tmp_path)))
    runs.save(run_of_ours, str(tmp_path / "run"), runs.versions())
    store = open_checkpoints(str(tmp_path / "run" / "checkpoints"), run_of_ours.checkpoints)
    params = jax.jit(build(run_of_ours.model).init)(jax.random.key(0))
    store.save(3, {"params": jax.tree.map(jnp.zeros_like, params), "step": jnp.int32(3)}, {})
    store.save(5, {"params": params, "step": jnp.int32(5)}, {})
    store.wait()
    store.close()
    run(capsys, "convert", tmp_path / "run", tmp_path / "hf", "--to=huggingface")
    found = huggingface.open_directory(str(tmp_path / "hf"))
    assert found.arch == run_of_ours.model and found.tokenizer == run_of_ours.tokenizer
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        got = found.leaves[tuple(key.key for key in path)].whole()
        np.testing.assert_array_equal(got, leaf)


def test_what_is_wrong_is_one_line(capsys, tmp_path):
    write_huggingface(tmp_path / "hf")
    whole = (tmp_path / "hf" / "model.safetensors").read_bytes()
    to = tmp_path / "to"

    def convert(*arguments):
        line = refused(capsys, "convert", *arguments)
        assert not to.exists()
        return line

    assert "neither a run" in convert(tmp_path / "nowhere", to, "--to=t2t")
    assert "is there already" in refused(
        capsys, "convert", tmp_path / "hf", tmp_path / "hf", "--to=t2t"
    )
    assert "--shard-size=5XB" in convert(
        tmp_path / "hf", to, "--to=huggingface", "--shard-size=5XB"
    )
    assert "--family=bert" in convert(tmp_path / "hf", to, "--to=huggingface", "--family=bert")
    assert "says model_type 't5'" in convert(
        tmp_path / "hf", to, "--to=huggingface", "--family=mt5"
    )
    assert "has no steps" in convert(tmp_path / "hf", to, "--to=t2t", "--step=3")
    assert "no/such.model" in convert(tmp_path / "hf", to, "--to=t2t", "--tokenizer=no/such.model")
    (tmp_path / "hf" / "model.safetensors").write_bytes(whole[:-100])
    assert "is not a whole safetensors file" in convert(tmp_path / "hf", to, "--to=t2t")
    line = refused(capsys, "generate", f"--workdir={tmp_path / 'hf'}")
    assert "is not a whole safetensors file" in line
    (tmp_path / "hf" / "config.json").write_text(json.dumps({**CONFIG, "model_type": "bloom"}))
    assert "family 'bloom'" in convert(tmp_path / "hf", to, "--to=t2t")
    assert "family 'bloom'" in refused(capsys, "generate", f"--workdir={tmp_path / 'hf'}")


PEAK = """
import resource, sys
from t2t.cli import main
def peak():  # of this process alone: what a parent handed over counts in ru_maxrss
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
import jax, numpy, tensorstore, orbax.checkpoint, t2t.trained, t2t.interop.opening
jax.config.update("jax_platforms", "cpu")
jax.numpy.zeros(1).block_until_ready()
before = peak()
assert main(sys.argv[1:]) == 0
print("peak", peak() - before)
"""


def peak_megabytes(*arguments) -> float:
    found = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": ""},
    )
    assert found.returncode == 0, found.stderr
    return int(found.stdout.split()[-1]) / 1000


@pytest.mark.slow
def test_a_model_passes_through_the_memory_of_a_few_of_its_tensors(tmp_path, monkeypatch):
    """480 MB in few tensors, the largest 67 MB (two layers of 33 MB), in every direction."""
    changes = {
        "vocab_size": 8192, "d_model": 1024, "num_heads": 4, "d_kv": 64, "d_ff": 8192,
        "num_layers": 2, "num_decoder_layers": 2,
    }  # fmt: skip
    tensors = write_huggingface(tmp_path / "hf", changes)
    total = sum(t.nbytes for t in tensors.values()) / 1e6
    largest = 2 * 1024 * 8192 * 4 / 1e6
    assert total > 450
    target = t5x_target(tensors, {**CONFIG, **changes})
    write_t5x(tmp_path / "t5x", target)
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 30_000_000)  # of a gigabyte
    write_t5x(tmp_path / "msgpack", target, tensorstore=False)
    del tensors, target
    peaks = {
        "hf -> t2t": peak_megabytes("convert", tmp_path / "hf", tmp_path / "run", "--to=t2t"),
        "hf -> hf": peak_megabytes(
            "convert", tmp_path / "hf", tmp_path / "a", "--to=huggingface", "--dtype=bfloat16"
        ),
        "t2t -> hf": peak_megabytes(
            "convert", tmp_path / "run", tmp_path / "b", "--to=huggingface"
        ),
        "t5x -> hf": peak_megabytes(
            "convert", tmp_path / "t5x", tmp_path / "c", "--to=huggingface"
        ),
        "t5x msgpack -> hf": peak_megabytes(
            "convert", tmp_path / "msgpack", tmp_path / "d", "--to=huggingface"
        ),
    }
    print(f"{total:.0f} MB, largest leaf {largest:.0f} MB:", peaks)
    # 100 MB: the 64 MB block in hand, and compiled programs. Far under the whole, and no part of it.
    assert max(peaks.values()) < 4 * largest + 100 < 0.8 * total, peaks
    same_weights(tmp_path / "hf", tmp_path / "b")
    same_weights(tmp_path / "c", tmp_path / "d")
