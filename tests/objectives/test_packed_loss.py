"""Packed and unpacked rows give the same loss a token, for every objective of running text."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t2t.data.order import random_bits
from t2t.data.span_marks import (
    BEGINS_TURN,
    CAPITAL,
    ID_BITS,
    IN_ENTITY,
    IN_PHRASE,
    RESPONSE,
)
from t2t.data.vocabulary import Vocabulary, piece_marks
from t2t.models.architecture import Architecture
from t2t.models.transformer import build
from t2t.objectives.config import (
    DECODER,
    ENCODER,
    UL2,
    CausalLM,
    ErnieTasks,
    ExternalSpans,
    MaskedLM,
    NGrams,
    PermutationLM,
    PrefixLM,
    SpanCorruption,
    Stage,
)
from t2t.objectives.discourse import Marked
from t2t.objectives.implementations import batch_shapes, implementation
from t2t.wiring import generator_discriminator, teacher_student
from t2t.wiring.choice import loss_functions

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[NLU]", "[NLG]", "[S2S]"]
PIECES += [f"<{i}>" for i in range(40)] + ["."] + ["##s" if i % 3 else f"w{i}" for i in range(79)]
NAMED = tuple((name, 5 + i) for i, name in enumerate(PIECES[5:8]))
PLAIN = Vocabulary(
    128, tuple(range(8, 48)), "", 0, 3, 1, cls_id=2, sep_id=3, mask_id=4, named=NAMED
)
MARKED = dataclasses.replace(PLAIN, marks=piece_marks(PIECES, PLAIN))
MARKED_TASKS = pytest.param(
    ErnieTasks(64, stages=(Stage(0, 0.3, 0.1, 0.1, 0.1, 0.1, 0.3),), markers=("so", "yet", "then")),
    marks=pytest.mark.slow,
)
OBJECTIVES = [
    SpanCorruption(64),
    UL2(64, 64),
    PrefixLM(64),
    CausalLM(64),
    MaskedLM(64),
    MaskedLM(64, unit=NGrams(), pairs="sentence_order"),
    MaskedLM(64, pairs="next_sentence"),
    MaskedLM(64, pairs="dialogue"),
    MaskedLM(64, unit=ExternalSpans(0.3, 0.4, 0.3)),
    ErnieTasks(64, stages=(Stage(),)),
    MARKED_TASKS,
    PermutationLM(64),
    pytest.param(PermutationLM(64, reuse=24, pairs=True), marks=pytest.mark.slow),
]
# XLNet's.
RELATIVE = {"relative_attention": True, "scaled_attention": True, "norm_place": "after"}
RELATIVE |= {"relative_bias": "none", "norm": "layer", "tied_embedding": True}


class _Training:
    z_loss = label_smoothing = r_drop = balance_loss = 0.0


class _Run:
    training = _Training()

    def __init__(self, objective):
        self.objective = objective


def moved(params, seed=0):
    """The parameters off their initialisation."""
    key = lambda x: jax.random.fold_in(jax.random.key(seed), x.size)
    return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(key(x), x.shape), params)


@functools.cache
def model_of(suits: str, kind: str = ""):
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    more = {}
    if suits == ENCODER:
        layers["decoder_layers"] = 0
    if kind == "permuted":
        more = RELATIVE
    elif suits == ENCODER:
        more = {"token_types": 2, "pair_classes": 2, "head": "masked", "tied_embedding": True}
    if suits == DECODER:
        layers["encoder_layers"] = 0
    if suits in (ENCODER, DECODER) and kind != "permuted":
        more |= {"learned_positions": 64, "relative_bias": "none", "norm": "layer"}
    if kind in ("tasks", "markers"):
        more |= {"token_types": 3, "task_types": 6, "token_classes": 4}
        more["pair_classes"] = 15 if kind == "markers" else 12
    if kind == "replaced":
        more |= {"head": "replaced", "pair_classes": 0}
    model = build(Architecture(128, 16, 2, 8, 32, **layers, **more))
    return model, moved(model.init(jax.random.key(0)))


def plain(objective):
    """Returns (loss_fn, its trainable and its frozen parameters): a network and the objective's loss."""
    kinds = {PermutationLM: "permuted", ErnieTasks: "tasks"}
    kind = "markers" if objective.takes_markers else kinds.get(type(objective), "")
    model, params = model_of(objective.suits, kind)
    return loss_functions(_Run(objective), model)[1], params, {}


def distilled(objective):
    """As `plain`, of a student and a teacher that differs from it."""
    model, params = model_of(objective.suits)
    loss_fn = teacher_student.loss_function(model, model, (5.0, 2.0, 1.0), 2.0, 0.0, 0.0)
    return loss_fn, params, {"teacher": moved(params, 1)}


def replaced(objective):
    """As `plain`, of ELECTRA's two networks."""
    generator, discriminator = (
        model_of(objective.suits)[0],
        model_of(objective.suits, "replaced")[0],
    )
    params = moved(generator_discriminator.both(discriminator, generator).init(jax.random.key(0)))
    loss_fn = generator_discriminator.loss_function(discriminator, generator, 0.0, 0.0, 50.0)
    return loss_fn, params, {}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_packed_and_unpacked_rows_have_the_same_loss_a_token(objective):
    check(objective, plain)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
def test_rows_may_be_empty_all_of_them(objective):
    """As those of a host are that has none of the last rows of held-out text."""
    none = np.zeros(0, np.int64)
    more = {"other": (none, none)} if objective.takes_other_text else {}
    if isinstance(objective, ErnieTasks):
        more |= {"behind": (none, none, none), "sample": none}
    if objective.takes_markers:
        more["marked"] = Marked(*[none] * 5)
    draw = functools.partial(random_bits, 0, "test", none)
    args = np.zeros(0, np.int32), none, none, np.zeros(3, np.int64), draw
    batch = implementation(objective).make_packed_batch(objective, MARKED, *args, **more)
    told = batch_shapes(objective, 3, full=False)
    del told["sample"]
    assert told == jax.tree.map(lambda x: (x.shape, x.dtype.type), batch)
    assert not batch["weights"].any()


def test_so_have_they_of_a_student():
    check(MaskedLM(64), distilled)


def test_so_have_they_of_replaced_tokens(monkeypatch):
    """The generator's draws go with the batch's shape: here it always writes what it finds likeliest."""
    monkeypatch.setattr(jax.random, "categorical", lambda key, logits: jnp.argmax(logits, -1))
    check(MaskedLM(64, masked=0.85, random=0.0), replaced)


def check(objective, wiring):
    rng = np.random.default_rng(0)
    tokens = rng.integers(48, 128, 4000).astype(np.int32)
    if objective.takes_token_marks:
        bits = (IN_PHRASE, IN_ENTITY, CAPITAL, BEGINS_TURN, RESPONSE)
        tokens |= sum(bit * rng.integers(0, 2, 4000, dtype=np.int32) for bit in bits)
        assert (tokens & ID_BITS >= 48).all()
    sizes = rng.integers(6, 17, 16)
    starts, other = np.arange(16) * 50, (np.arange(16) * 50 + 2000, sizes)
    module = implementation(objective)
    more = {"other": other} if objective.takes_other_text else {}
    if isinstance(objective, ErnieTasks):
        more = {"other": other, "behind": (starts + sizes, sizes, sizes // 2)}
        more["sample"] = np.arange(16)
    if objective.takes_markers:
        more["marked"] = Marked(starts, sizes, sizes % 2 + 1, sizes, np.arange(16) % 4 - 1)
    loss_fn, trainable, frozen = wiring(objective)
    loss_fn = jax.jit(loss_fn)

    def losses(in_row, spoil=False):
        batch = module.make_packed_batch(
            objective,
            MARKED,
            tokens,
            starts,
            sizes,
            np.asarray(in_row),
            functools.partial(random_bits, 0, "test", np.arange(16)),
            **more,
        )
        told = batch_shapes(objective, len(in_row), full=False)
        del told["sample"]
        assert told == jax.tree.map(lambda x: (x.shape, x.dtype.type), batch)
        if spoil:  # as if examples of a row saw each other
            for side in {"encoder", "decoder"} & set(batch):
                batch[side]["segments"] = np.minimum(batch[side]["segments"], 1)
        batch["sample"] = np.arange(len(in_row), dtype=np.int32)
        loss, (sums, _) = loss_fn(trainable, frozen, {}, batch, None)
        return np.array([loss, *(sums[k] for k in sorted(sums))]) / float(sums["weight"])

    alone, packed = losses([1] * 16), losses([2] * 8)
    np.testing.assert_allclose(packed, alone, rtol=0, atol=1e-5)
    assert abs(losses([2] * 8, spoil=True)[0] - alone[0]) > 1e-4
