"""Every shipped recipe, with every argument it documents, is a sound run of the published size."""

import ast
import dataclasses
import math
import re
import runpy
import shlex

import jax
import numpy as np
import pytest

from t2t import cli, recipes, schema
from t2t import run as runs
from t2t.data.source_config import Task
from t2t.models.families import switch
from t2t.models.transformer import build
from t2t.parallel.mesh_config import AXES
from t2t.training.schedules import schedule
from tests.models.test_parameter_counts import PUBLISHED

FOLDER = recipes.config_folder()
# 7,080,960 by hand: twice 8,192 x 256 of vocabulary, 3 encoder layers, 1 decoder layer, two tables of
# 32 x 4 and two norms of 256.
TINY = (
    2 * 8192 * 256
    + 3 * (4 * 256**2 + 3 * 256 * 512 + 2 * 256)
    + (8 * 256**2 + 3 * 256 * 512 + 3 * 256)
    + 2 * 32 * 4
    + 2 * 256
)
MULTI30K = TINY + 2 * (8 * 256**2 + 3 * 256 * 512 + 3 * 256)  # two more decoder layers
# 2,510,144: table and its norm, layers (attention, feed-forward, two norms), relative bias, and the masked head.
_LAYER = 4 * (192**2 + 192) + 2 * 192 * 384 + 384 + 192 + 4 * 192
ENCODER = 8192 * 192 + 384 + 3 * _LAYER + 32 * 6 + (192**2 + 192 + 384 + 8192)
BERTS_AND_GPTS = (
    "electra",
    "bert",
    "roberta",
    "albert",
    "megatron_bert",
    "gpt2",
    "gpt3",
    "megatron_gpt",
    "turing_nlg",
    "llama",
)
LAYOUTS = runpy.run_path(str(FOLDER / "t5_1_1_pods.py"))["LAYOUTS"]
# What each recipe of this kind adds to dropout: its fields, by their paths in a Run.
REGULARIZED = {
    "plain": {},
    "label_smoothing": {"training.label_smoothing": (0.0, 0.1)},
    "r_drop": {"training.r_drop": (0.0, 5.0)},
    "token_dropout": {"data.augmentation.token_dropout": (0.0, 0.1)},
    "span_replacement": {"data.augmentation.span_replacement": (0.0, 0.1)},
    "layer_dropout": {"model.layer_dropout": (0.0, 0.2)},
}
FAMILIES = {m.__name__.rpartition(".")[2]: sizes for m, sizes in PUBLISHED.items()}
PARAMETERS = {
    **{f"{'t5_1_0' if f == 't5' else f}:{s}": n for f, sizes in FAMILIES.items() for s, n in sizes.items()},
    "books_small": FAMILIES["t5_1_1"]["small"],
    "books_small:tiny": TINY,
    "books_small:encoder": ENCODER,
    "sst2": ENCODER,
    "sst2:scratch": ENCODER,
    "multi30k": MULTI30K,
    **{f"regularized{kind}": MULTI30K for kind in ("", *(f":{name}" for name in REGULARIZED))},
    "finetune:sst2_sentences": FAMILIES["t5_1_1"]["small"],
    # The T5 1.1 that is adapted.
    **{f"lm_adapt:{s}": n for s, n in FAMILIES["t5_1_1"].items()},
    **{f"flan:{s}": n for s, n in FAMILIES["t5_1_1"].items()},
    # Counted by tests/models.
    **dict.fromkeys(("bert:base", "bert:large", "roberta:base", "roberta:large"), None),
    **{f"albert:{s}": None for s in ("base", "large", "xlarge", "xxlarge")},
    **{f"gpt2:{s}": None for s in ("small", "medium", "large", "xl")},
    **{f"gpt3:{s}": None for s in ("small", "medium", "large", "xl", "2.7b", "6.7b", "13b", "175b")},
    **{f"megatron_gpt:{s}": None for s in ("355m", "2.5b", "8.3b")},
    **{f"megatron_bert:{s}": None for s in ("345m", "1.3b", "3.9b")},
    **{f"electra:{s}": None for s in ("small", "base", "large")},
    **{f"llama:{s}": None for s in ("7b", "13b", "65b", "3-8b")},
    "turing_nlg:17b": None,
    **{f"switch:{s}": None for s in switch.SIZES},
    **{f"t5gemma:{s}": None for s in ("2b-2b", "9b-9b")},
    "distilbert:base": None,
    "ernie:1.0-zh": None,
    **dict.fromkeys(("xlnet:base", "xlnet:large"), None),
    **{f"ernie2:{s}": None for s in ("2.0-base", "2.0-large")},
    **{f"{f}:tiny": None for f in (*BERTS_AND_GPTS, "distilbert", "ernie", "ernie2", "switch", "t5gemma", "xlnet")},
    **{f"{f}:tiny": None for f in ("t5_1_0", "t5_1_1", "mt5", "umt5", "byt5", "ul2", "lm_adapt", "flan")},
    **{f"t5_1_1_pods:{n}": FAMILIES["t5_1_1"][n.partition("-")[0]] for n in LAYOUTS},
    "quickstart": None,  # sizes of our own
    "overfit": None,
}  # fmt: skip


def documentation(name: str) -> str:
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))


def commands(name: str) -> list[str]:
    """The commands in a recipe's docstring, lines that are continued put together."""
    text = documentation(name).replace("\\\n", " ")
    return re.findall(r"^ {4}(t2t .*)$", text, re.MULTILINE)


def test_every_recipe_stands_in_the_table():
    assert {p.stem for p in FOLDER.glob("*.py")} == {spec.partition(":")[0] for spec in PARAMETERS}


@pytest.mark.parametrize("spec", PARAMETERS)
def test_recipe_loads_checks_and_has_the_published_size(spec):
    run = runs.load(spec)
    shapes = jax.tree.leaves(build(run.model).shapes)
    count = sum(math.prod(s.shape) for s in shapes)
    assert PARAMETERS[spec] in (None, count)
    # What is saved is what was loaded.
    assert schema.from_json(schema.to_json(run), runs.Run, "config") == run


@pytest.mark.parametrize("name", sorted({spec.partition(":")[0] for spec in PARAMETERS}))
def test_documented_commands_parse_and_load(name):
    found = commands(name)
    assert found and "Expected" in documentation(name)
    for command in found:
        program, *arguments = shlex.split(command)
        module, options, overrides = cli.parse(arguments)
        assert program == "t2t"
        if module.__name__ != "t2t.commands.train":  # of the run that the commands before it made
            continue
        assert options.config.partition(":")[0] == name
        run = runs.load(options.config, overrides)
        if run.mesh.fsdp > 1:
            sizes = [getattr(run.mesh, axis) for axis in AXES]
            runs.check_devices(run, max(8, math.prod(max(size, 1) for size in sizes)))
        for path, _ in overrides:  # a command that names other data names all of it
            if path.startswith("data.train.corpora"):
                source = run.data.evaluation[0].source
                named = source.data if isinstance(source, Task) else source.paths[0]
                assert named.startswith("DIR")


@pytest.mark.parametrize("name", [s for s in PARAMETERS if ":" not in s])
def test_an_argument_that_is_not_documented_is_refused(name):
    with pytest.raises(runs.UserError, match="--config="):
        runs.load(f"{name}:nonsense")


def test_the_default_size_is_base():
    for name in ("t5_1_0", "t5_1_1", "mt5", "umt5", "byt5"):
        assert runs.load(name) == runs.load(f"{name}:base")
        assert dataclasses.asdict(runs.load(name))["model"]["dtype"] == "bfloat16"


@pytest.mark.parametrize("name", REGULARIZED)
def test_a_regularized_run_differs_from_the_plain_one_in_what_its_name_says(name):
    plain, run = runs.load("regularized:plain"), runs.load(f"regularized:{name}")
    assert plain.model.dropout == 0.1 and plain.training.label_smoothing == 0
    wanted = {f"config.{path}": values for path, values in REGULARIZED[name].items()}
    assert schema.difference(plain, run) == wanted


def test_the_multilingual_kin_have_a_corpus_a_language():
    for name, weighting in (("mt5", "temperature"), ("byt5", "temperature"), ("umt5", "unimax")):
        data = runs.load(f"{name}:small:gs://bucket/mc4").data
        assert data.train.weighting == weighting
        paths = [corpus.source.paths[0] for corpus in data.train.corpora]
        # mC4: 101 languages, six of them in Latin letters too.
        assert len(set(paths)) == 107 and sum("-Latn" in path for path in paths) == 6
        assert all(re.fullmatch(r"gs://bucket/mc4/c4-[\w-]+\.\*", path) for path in paths)
        assert data.evaluation[0].source.paths == ("gs://bucket/mc4/c4-en-validation.*",)
    assert (1 / runs.load("mt5").data.train.temperature) == pytest.approx(0.3)
    umt5 = runs.load("umt5").data.train
    assert umt5.epochs == 1 and umt5.budget == 10**6 * 2**20


@pytest.mark.parametrize("size", ("small", "xl", "175b"))
def test_gpt3s_batches_grow_linearly_over_the_published_tokens(size):
    run = runs.load(f"gpt3:{size}")
    until, rows = np.array(run.data.batch_ramp).T
    lasting = np.diff(until, prepend=0)
    tokens = np.cumsum(lasting * rows) * 2048  # at the end of each stage
    full = {"small": 4e9, "xl": 6e9, "175b": 12e9}[size]
    assert rows[0] * 2048 == 2**15 and tokens[-1] == pytest.approx(full, rel=1e-2)
    # The size when a stage begins, on the line between the first and the last.
    share = np.array([0, *tokens[:-1]]) / full
    wanted = 16 + (run.data.batch_size - 16) * share
    np.testing.assert_allclose(rows, wanted, atol=0.01 * run.data.batch_size + 8)
    steps = run.training.steps - until[-1]
    assert tokens[-1] + steps * run.data.batch_size * 2048 == pytest.approx(300e9, rel=1e-4)
    # Rates rise over 375 million tokens, which these batches read in so many steps.
    sizes = np.repeat(rows, lasting)[: run.schedule.warmup_steps]
    assert sizes.sum() * 2048 == pytest.approx(375e6, rel=1e-3)


def documented(name: str) -> list[runs.Run]:
    """The runs of a recipe's documented `t2t train` commands."""
    found = [cli.parse(shlex.split(command)[1:]) for command in commands(name)]
    return [runs.load(options.config, overrides) for _, options, overrides in found]


def test_berts_two_phases_are_its_million_steps_at_the_rates_of_one_run():
    whole, *_ = documented("bert")
    (short,) = (run for run in documented("bert") if run.objective.length == 128)
    (long,) = (run for run in documented("bert") if run.initial is not None)
    assert long.initial.path == "runs/bert_128" and long.model == short.model == whole.model
    assert long.objective == whole.objective and long.training.seed != short.training.seed
    assert short.training.steps + long.training.steps == whole.training.steps
    rates = [schedule(run.schedule, run.training.steps) for run in (whole, short, long)]
    for step in (5_000, 100_000, 500_000, 899_999):
        assert float(rates[1](step)) == pytest.approx(float(rates[0](step)), rel=0.02)
    for step in (10_000, 50_000, 99_000):
        assert float(rates[2](step)) == pytest.approx(float(rates[0](900_000 + step)), rel=0.02)


def test_rates_end_where_they_were_published_to():
    run = runs.load("gpt3:xl")
    rate = schedule(run.schedule, run.training.steps)
    left = round(40e9 / 2048 / run.data.batch_size)  # steps of the last 40 billion tokens
    lowest = run.schedule.peak / 10
    assert float(rate(run.training.steps - left)) == pytest.approx(lowest, rel=1e-4)
    assert float(rate(run.training.steps - 2 * left)) > 1.05 * lowest
    run = runs.load("turing_nlg:17b")
    rate = schedule(run.schedule, run.training.steps)
    assert float(rate(3200)) == pytest.approx(1.5e-4)
    middle = (3200 + 500_000) // 2
    assert float(rate(middle)) == pytest.approx(0.75e-4)
    assert float(rate(300_000)) > 0.5e-4  # not down at its end


def test_llama_3_is_not_trained_as_llama_1():
    run = runs.load("llama:3-8b")
    assert (run.objective.length, run.schedule.warmup_steps) == (8192, 8000)
    tokens = run.training.steps * run.data.batch_size * run.objective.length
    assert tokens == pytest.approx(15e12, rel=1e-3)
    first = runs.load("llama:7b")
    assert first.training.steps * first.data.batch_size * 2048 == pytest.approx(1e12, rel=0.05)
