"""A model judged: what is decoded, in which order, once; the same on a mesh; during training."""

import json
import math

import jax
import numpy as np
import pytest

from t2t.data.tokenizers import ByteTokenizer
from t2t.decoding.decode import decode, make_decoder
from t2t.decoding.scoring import score
from t2t.errors import UserError
from t2t.evaluation import evaluate as module
from t2t.evaluation.config import Judging
from t2t.evaluation.evaluate import Checkpoint, evaluate_run, evaluate_tasks
from t2t.evaluation.predictions import newest, read_lines, results
from t2t.evaluation.prepared import prepare
from t2t.evaluation.shares import Share
from t2t.models.families import t5_1_1
from t2t.models.transformer import build
from t2t.parallel.mesh import make_mesh
from t2t.parallel.mesh_config import Mesh
from t2t.parallel.sharding import constrainer, shardings
from t2t.tasks.own_task import load_task
from tests.evaluation.saved_run import TASK, write_task

ARCH = t5_1_1.architecture(
    "small",
    vocab_size=384,
    d_model=16,
    heads=2,
    head_dim=8,
    d_ff=24,
    encoder_layers=1,
    decoder_layers=1,
)
TOKENIZER = ByteTokenizer(125)
SETTINGS = Judging(batch_size=4, resamples=20)
EXAMPLES = 20


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32),
        jax.jit(build(ARCH).init)(jax.random.key(0)),
    )


@pytest.fixture(scope="module")
def decoder():
    return make_decoder(build(ARCH), TOKENIZER)


@pytest.fixture
def path(tmp_path):
    return write_task(tmp_path, EXAMPLES)


@pytest.fixture
def prepared(path):
    return prepare(load_task(str(path)), SETTINGS, TOKENIZER)


def checkpoint(params, step: int = 4, fingerprint: str = "a", loads: list | None = None):
    def load():
        if loads is not None:
            loads.append(step)
        return params

    return Checkpoint(step, fingerprint, load)


def judged(workdir, tasks, decoder, checkpoints, settings=SETTINGS, **options):
    return list(evaluate_run(str(workdir), tasks, checkpoints, decoder, settings, **options))


def lines_of(workdir, name="colours", step=4):
    return read_lines(f"{workdir}/predictions/{name}/{step}.jsonl")


def test_predictions_are_the_decoded_texts_in_order(tmp_path, prepared, decoder, params):
    (result,) = judged(tmp_path, [prepared], decoder, [checkpoint(params)])
    lines = lines_of(tmp_path)
    assert [line["index"] for line in lines] == list(range(EXAMPLES))
    expected = decode(decoder, params, prepared.rows, prepared.decoding, batch_size=7)
    for line, example, (output,) in zip(lines, prepared.examples, expected, strict=True):
        assert (line["input"], line["target"]) == (example.input, example.target)
        assert line["prediction"] == output.text
        assert line["scores"]["log_probability"] == pytest.approx(output.score, rel=1e-4)
        choices = ["red", "green", "blue"]
        assert line["truth"] == choices.index(example.target)
        assert line["value"] == (choices.index(output.text) if output.text in choices else None)
    right = [line["value"] == line["truth"] for line in lines]
    assert result["scores"]["accuracy"] == 100 * np.mean(right)
    assert result["invalid"] == sum(line["value"] is None for line in lines)
    assert result["examples"] == EXAMPLES and result["identity"] == prepared.identity
    assert json.loads((tmp_path / "predictions/colours/4.json").read_text()) == result
    assert [p.name for p in (tmp_path / "predictions/colours").iterdir() if p.is_dir()] == []


def test_likelihoods_and_ranks_are_those_of_the_scorer(tmp_path, decoder, params):
    text = TASK.replace('"macro_f1"]', '"perplexity", "bits_per_byte"]')
    task = load_task(str(write_task(tmp_path, EXAMPLES, text)))
    settings = Judging(rank=True, batch_size=4, resamples=0)
    ready = prepare(task, settings, TOKENIZER)
    (result,) = judged(tmp_path, [ready], decoder, [checkpoint(params)], settings)
    by_choice = [
        score(decoder, params, ready.rows, [np.array([*ids, 1], np.int32)] * EXAMPLES)
        for ids in TOKENIZER.encode(["red", "green", "blue"])
    ]
    nats = tokens = size = hits = 0
    for i, line in enumerate(lines_of(tmp_path, "colours.rank")):
        scores = [of[i].score for of in by_choice]
        assert line["value"] == int(np.argmax(scores))
        assert line["prediction"] == ("red", "green", "blue")[line["value"]]
        assert line["scores"]["target_log_likelihood"] == pytest.approx(
            scores[line["truth"]], rel=1e-4
        )
        nats -= scores[line["truth"]]
        tokens += len(line["target"]) + 1
        size += len(line["target"])
        hits += line["value"] == line["truth"]
    assert result["scores"] == pytest.approx(
        {
            "accuracy": 100 * hits / EXAMPLES,
            "perplexity": math.exp(nats / tokens),
            "bits_per_byte": nats / size / math.log(2),
        },
        rel=1e-4,
    )
    assert result["invalid"] == 0 and result["intervals"] == {}


def test_what_was_killed_goes_on_without_decoding_twice(tmp_path, prepared, decoder, params):
    class Killed(Exception):
        pass

    def after(batches: int):
        def progress(name, step, done, total):
            seen.append(done)
            if len(seen) == batches:
                raise Killed

        return progress

    seen: list[int] = []
    with pytest.raises(Killed):
        judged(tmp_path, [prepared], decoder, [checkpoint(params)], progress=after(2))
    assert seen == [4, 8]
    assert results(str(tmp_path)) == []
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("predictions/colours/*/*.jsonl")}
    assert len(kept) == 2
    seen.clear()
    with pytest.raises(Killed):
        judged(tmp_path, [prepared], decoder, [checkpoint(params)], progress=after(1))
    assert seen == [12]
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())
    seen.clear()
    said: list[str] = []
    (result,) = judged(
        tmp_path, [prepared], decoder, [checkpoint(params)], progress=after(9), say=said.append
    )
    assert seen == [16, 20] and "going on after 12 of 20" in said[0]
    (whole,) = judged(tmp_path / "whole", [prepared], decoder, [checkpoint(params)])
    assert result == whole
    assert [x["prediction"] for x in lines_of(tmp_path)] == [
        x["prediction"] for x in lines_of(tmp_path / "whole")
    ]


def test_all_checkpoints_share_one_compilation(tmp_path, prepared, decoder, params):
    def compiled() -> int:
        return sum(program._cache_size() for program in decoder.programs.values())

    judged(tmp_path, [prepared], decoder, [checkpoint(params)])
    before = compiled()
    assert before > 0
    other = jax.tree.map(lambda x: x * 1.5, params)
    found = judged(
        tmp_path, [prepared], decoder, [checkpoint(params, 8, "b"), checkpoint(other, 12, "c")]
    )
    assert [result["step"] for result in found] == [8, 12]
    assert compiled() == before
    assert newest(str(tmp_path), "colours")["step"] == 12
    assert newest(str(tmp_path), "colours", 8)["step"] == 8
    with pytest.raises(UserError, match="at step 4, 8, 12, not 9"):
        newest(str(tmp_path), "colours", 9)
    with pytest.raises(UserError, match="no predictions of colour .*'colours'"):
        newest(str(tmp_path), "colour")


def test_what_was_judged_is_not_loaded_again_unless_it_changed(tmp_path, path, decoder, params):
    loads: list[int] = []

    def again(fingerprint="a", settings=SETTINGS):
        ready = prepare(load_task(str(path)), settings, TOKENIZER)
        (result,) = judged(
            tmp_path, [ready], decoder, [checkpoint(params, 4, fingerprint, loads)], settings
        )
        return result

    first = again()
    assert again() == first and loads == [4]
    # Other draws, other metrics: scored again from what was written.
    assert again(settings=Judging(batch_size=4, resamples=0))["intervals"] == {}
    path.write_text(TASK.replace('["accuracy", "macro_f1"]', '["sequence_accuracy"]'))
    assert list(again()["scores"]) == ["sequence_accuracy"] and loads == [4]
    assert list(results(str(tmp_path))[0]["scores"]) == ["sequence_accuracy"]
    # Other parameters at the same step, or another prompt: decoded again.
    again("b")
    assert loads == [4, 4]
    path.write_text(TASK.replace("colour of", "the colour of"))
    again("b")
    assert loads == [4, 4, 4]


def test_a_metric_of_ones_own_is_read_again(tmp_path, decoder, params):
    own = tmp_path / "mine.py"
    own.write_text("def share(truths, values):\n    return {'valid': 1, 'examples': len(truths)}\n")
    text = TASK.replace('["accuracy", "macro_f1"]', f'["{own}:share", "accuracy"]')
    path = write_task(tmp_path, EXAMPLES, text)
    loads: list[int] = []

    def again():
        ready = prepare(load_task(str(path)), SETTINGS, TOKENIZER)
        (result,) = judged(tmp_path, [ready], decoder, [checkpoint(params, loads=loads)])
        return result["scores"]

    found = again()
    assert (found["valid"], found["examples"]) == (1.0, EXAMPLES) and "accuracy" in found
    own.write_text("def share(truths, values):\n    return float('nan')\n")
    assert again()["share"] is None and loads == [4]  # JSON has no NaN


def test_hosts_that_share_decode_everything_once(tmp_path, prepared, decoder, params):
    seen: list[int] = []
    for index in (2, 0, 1):
        said: list[str] = []
        found = judged(
            tmp_path,
            [prepared],
            decoder,
            [checkpoint(params)],
            share=Share(index, 3),
            say=said.append,
            progress=lambda name, step, done, total: seen.append(done),
        )
        assert found == [] and f"share {index + 1}/3 is decoded" in said[-1]
    assert seen == [4, 6, 10, 13, 17, 20]  # 6, 7 and 7 examples
    loads: list[int] = []
    (result,) = judged(tmp_path, [prepared], decoder, [checkpoint(params, loads=loads)])
    assert loads == []
    (whole,) = judged(tmp_path / "whole", [prepared], decoder, [checkpoint(params)])
    assert result == whole
    assert [x["index"] for x in lines_of(tmp_path)] == list(range(EXAMPLES))


def test_without_labels_there_are_predictions_and_no_scores(tmp_path, decoder, params):
    from t2t.tasks.catalog import TASKS

    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2/test.tsv").write_text("index\tsentence\n0\tgood\n1\tbad\n2\tso so\n")
    settings = Judging(split="test", data=str(tmp_path), targets_length=6, resamples=10)
    ready = prepare(TASKS["glue_sst2"], settings, TOKENIZER)
    (result,) = judged(tmp_path, [ready], decoder, [checkpoint(params)], settings)
    assert result["scores"] == {} and result["examples"] == 3
    assert len(lines_of(tmp_path, "glue_sst2.test.targets_length_6")) == 3


# --- During training, and on a mesh --------------------------------------------------------------


def test_a_training_loop_gets_rows(tmp_path, prepared, decoder, params):
    rows = evaluate_tasks([prepared], decoder, params, 7, SETTINGS, workdir=str(tmp_path))
    (result,) = judged(tmp_path / "run", [prepared], decoder, [checkpoint(params, 7)])
    assert rows == {
        "colours": {**result["scores"], "invalid": result["invalid"], "examples": EXAMPLES}
    }
    assert lines_of(tmp_path, step=7) == lines_of(tmp_path / "run", step=7)
    (kept,) = results(str(tmp_path))
    assert kept["step"] == 7 and kept["scores"] == result["scores"]


def test_a_stop_leaves_the_task_in_hand_out(tmp_path, path, prepared, decoder, params):
    stop: list[str] = []
    path.write_text(TASK.replace('"colours"', '"second"'))
    second = prepare(load_task(str(path)), SETTINGS, TOKENIZER)

    def progress(name, step, done, total):
        if name == "second":
            stop.append("SIGTERM")

    rows = evaluate_tasks(
        [prepared, second], decoder, params, 7, SETTINGS, workdir=str(tmp_path), stop=stop,
        progress=progress,
    )  # fmt: skip
    assert list(rows) == ["colours"]
    assert [result["name"] for result in results(str(tmp_path))] == ["colours"]


def test_an_undefined_score_is_nan_in_a_row(tmp_path, decoder, params):
    text = TASK.replace('["accuracy", "macro_f1"]', '["pearson_corrcoef"]').replace(
        'choices = ["red", "green", "blue"]', "numeric = true"
    )
    path = write_task(tmp_path, 4, text)
    rows = [{"thing": str(i), "colour": i} for i in range(4)]
    (tmp_path / "colours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ready = prepare(load_task(str(path)), SETTINGS, TOKENIZER)
    found = evaluate_tasks([ready], decoder, params, 1, SETTINGS)["colours"]
    assert found["invalid"] == 4 and math.isnan(found["pearson_corrcoef"])


@pytest.mark.parametrize("rank", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_sharded_model_is_judged_as_on_one_device(tmp_path, decoder, params, rank):
    text = TASK.replace('"macro_f1"]', '"perplexity"]')
    settings = Judging(rank=rank, batch_size=8, resamples=0)
    ready = prepare(load_task(str(write_task(tmp_path, EXAMPLES, text))), settings, TOKENIZER)
    mesh = make_mesh(Mesh(data=2, fsdp=2, tensor=2))
    model = build(ARCH, constrain=constrainer(mesh))
    placed = jax.device_put(params, shardings(model.axes, model.shapes, mesh, model.units))
    sharded = make_decoder(model, TOKENIZER, mesh)
    one = evaluate_tasks([ready], decoder, params, 1, settings, workdir=str(tmp_path / "one"))
    eight = evaluate_tasks([ready], sharded, placed, 1, settings, workdir=str(tmp_path / "eight"))
    assert eight["colours"] == pytest.approx(one["colours"], rel=1e-4)
    a, b = (lines_of(tmp_path / side, ready.name, 1) for side in ("one", "eight"))
    assert [line["prediction"] for line in a] == [line["prediction"] for line in b]
    assert len(b) == EXAMPLES  # 20 in batches of 8: what fills the last is not among them


def test_only_the_first_process_writes(tmp_path, prepared, decoder, params, monkeypatch):
    monkeypatch.setattr(module.jax, "process_index", lambda: 1)
    rows = evaluate_tasks([prepared], decoder, params, 7, SETTINGS, workdir=str(tmp_path))
    assert "accuracy" in rows["colours"]
    assert not (tmp_path / "predictions").exists()
