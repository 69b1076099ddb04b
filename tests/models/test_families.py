"""Every family at a tiny size: against an independent NumPy transformer, packed, padded, cached."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.models import oracle
from tests.models.tiny_families import FAMILIES

DECODERS = ["gpt2", "gpt2-by-layer", "gpt2-banded", "llama"]
PAIRED = ["switch", "t5gemma"]
LENGTH = 40


def batch_of(arch, rows=3, seed=0):
    """Rows of LENGTH tokens for each stack that there is; the decoder's may be shorter."""
    rng = np.random.default_rng(seed)

    def side(length):
        part = {"tokens": rng.integers(6, 128, (rows, length)).astype(np.int32)}
        if arch.token_types:
            part["types"] = rng.integers(0, arch.token_types, (rows, length)).astype(np.int32)
        if arch.task_types:
            part["tasks"] = rng.integers(0, arch.task_types, (rows, length)).astype(np.int32)
        return part

    batch = {"encoder": side(LENGTH)} if arch.encoder_layers else {}
    return batch | ({"decoder": side(LENGTH - 9)} if arch.decoder_layers else {})


def compiled(model):
    return jax.jit(lambda params, batch: model.forward(params, batch)[0])


def assert_same(got, want, tolerance=1e-12):
    assert got.shape == want.shape and got.dtype == np.float64
    assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


# Each compiles a model of its own: some seconds.
FEW_FAST = [
    name if name in ("gpt2", "bert", "switch") else pytest.param(name, marks=pytest.mark.slow)
    for name in FAMILIES
]


@pytest.mark.parametrize("name", FEW_FAST)
def test_logits_and_heads_equal_the_numpy_transformer(name):
    reference, arch = oracle.load(), FAMILIES[name]

    def heads(params, batch):
        hidden = model.forward(params, batch)[0]
        pairs = model.pair_logits(params, hidden[:, 0]) if arch.pair_classes else None
        if arch.head == "replaced":
            return hidden, model.replaced_logits(params, hidden), pairs
        return hidden, model.logits(params, hidden), pairs

    with jax.enable_x64(True):
        model, params = oracle.moved(arch)
        batch = batch_of(arch)
        seen = {
            stack: np.arange(part["tokens"].shape[1]) < np.array([[LENGTH], [30], [20]])
            for stack, part in batch.items()
        }
        for stack, part in batch.items():
            part["segments"] = seen[stack].astype(np.int32)
        hidden, logits, pairs = jax.jit(heads)(params, batch)
        net = reference.Net(oracle.axes(reference, arch), oracle.parameters(arch, params))
        first, *second = [(batch[s]["tokens"], seen[s].astype(int)) for s in batch]
        part = next(iter(batch.values()))
        want_logits, want_hidden = net(
            *first, *(second or [(None, None)])[0], types=part.get("types"), tasks=part.get("tasks")
        )
        inside = list(seen.values())[-1]
        assert_same(hidden[inside], want_hidden[inside])
        assert_same(logits[inside], want_logits[inside])
        if arch.pair_classes:
            assert_same(pairs, net.pooled(want_hidden))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "switch"])
def test_packed_rows_equal_separate_rows_and_scan_equals_unroll(name):
    """(Switch's experts count a row's tokens, whatever text they are of.)"""
    arch = dataclasses.replace(FAMILIES[name], layers="scan")
    with jax.enable_x64(True):
        model, params = oracle.moved(arch)
        run = compiled(oracle.moved(dataclasses.replace(arch, layers="unroll"))[0])
        batch = batch_of(arch, rows=1)
        cuts = {"encoder": (0, 9, 26, 35), "decoder": (0, 12, 16, 28)}
        alone, packed = [], {}
        for number in range(3):
            # One shape for all: behind each text stands what it must not see.
            one = {}
            for stack, part in batch.items():
                begin, end = cuts[stack][number : number + 2]
                one[stack] = {key: np.roll(value, -begin, axis=1) for key, value in part.items()}
                length = part["tokens"].shape[1]
                one[stack]["segments"] = (np.arange(length) < end - begin).astype(np.int32)[None]
            alone.append(np.asarray(run(params, one))[0, : end - begin])
        for stack, part in batch.items():
            sizes = np.diff(cuts[stack])
            pad = part["tokens"].shape[1] - sizes.sum()
            positions = np.concatenate([np.arange(n) for n in sizes])
            packed[stack] = {
                **part,
                "segments": np.pad(np.repeat([1, 2, 3], sizes), (0, pad))[None],
                "positions": np.pad(positions, (0, pad))[None],
            }
        together = np.asarray(compiled(model)(params, packed))[0]
        want = np.concatenate(alone)
        assert_same(together[: len(want)], want)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*DECODERS, *PAIRED])
def test_cached_steps_equal_a_whole_forward_pass(name):
    # A step has no row of tokens that could overflow an expert.
    arch = dataclasses.replace(FAMILIES[name], expert_capacity=64)
    with jax.enable_x64(True):
        model, params = oracle.moved(arch)
        batch = batch_of(arch, rows=2)
        whole = np.asarray(compiled(model)(params, batch))
        tokens = batch["decoder"]["tokens"]
        encoded, _ = model.encode(params, batch.get("encoder", batch["decoder"]))
        cache = model.start_cache(params, encoded, None, tokens.shape[1])
        decode = jax.jit(model.decode)
        written = []
        for first, last in [(0, 13), *((i, i + 1) for i in range(13, tokens.shape[1]))]:
            hidden, cache, _ = decode(params, tokens[:, first:last], cache)
            written.append(hidden)
        assert_same(np.concatenate(written, axis=1), whole)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_prefix_is_seen_by_all_of_its_segment_and_no_other(name):
    arch = FAMILIES[name]
    with jax.enable_x64(True):
        model, params = oracle.moved(arch)
        run = compiled(model)
        place = np.arange(31)
        part = batch_of(arch, rows=1)["decoder"] | {
            "segments": 1 + (place >= 10)[None].astype(np.int32),
            "positions": np.where(place < 10, place, place - 10)[None],
            "prefix": (place < 6)[None].astype(np.int32),
        }
        want = np.asarray(run(params, {"decoder": part}))[0]

        def moved_by(at):
            tokens = part["tokens"].copy()
            tokens[0, at] = 6 + (tokens[0, at] == 6)
            got = np.asarray(run(params, {"decoder": {**part, "tokens": tokens}}))[0]
            return np.abs(got - want).max(axis=-1) > 0

        np.testing.assert_array_equal(moved_by(5), place < 10)
        np.testing.assert_array_equal(moved_by(7), (place >= 7) & (place < 10))
        np.testing.assert_array_equal(moved_by(12), place >= 12)


def test_experts_say_how_evenly_they_are_asked():
    """By hand: of four real tokens three ask expert 0, whose capacity is two."""
    from t2t.models.experts import Experts
    from t2t.models.parameters import Declare

    arch = dataclasses.replace(FAMILIES["switch"], experts=2, expert_capacity=2, d_model=2, d_ff=3)
    layer = Experts(arch, Declare(jax.random.key(0)), lambda x, names: x)
    layer.router[...] = np.float32([[1, 0], [0, 1]])
    x = np.float32([[[2, 0], [0, 1], [3, 0], [1, 0], [9, 0]]])
    y, aux = layer(x, np.array([[1, 1, 1, 1, 0]]))
    e = np.exp
    first = [e(2) / (e(2) + 1), 1 / (1 + e(1)), e(3) / (e(3) + 1), e(1) / (e(1) + 1)]
    share = np.array([3 / 4, 1 / 4])
    mean = np.array([np.mean(first), 1 - np.mean(first)])
    np.testing.assert_allclose(aux["shares"], share, rtol=1e-6)
    np.testing.assert_allclose(aux["balance_loss"], 2 * share @ mean, rtol=1e-6)
    for token, expert, chance in ((0, 0, first[0]), (1, 1, 1 - first[1]), (2, 0, first[2])):
        hidden = np.maximum(x[0, token] @ layer.wi[...][expert], 0)
        want = chance * hidden @ layer.wo[...][expert]
        np.testing.assert_allclose(y[0, token], want, rtol=2e-4, atol=1e-6)
    np.testing.assert_array_equal(y[0, 3:], 0)  # the third and fourth to ask expert 0


def test_experts_drop_more_than_the_rest():
    """One expert that hands on what it reads: two of five units fall away, the others grow."""
    from t2t.models.experts import Experts
    from t2t.models.parameters import Declare

    width = 400
    sizes = {"experts": 1, "expert_capacity": 2, "d_model": width, "d_ff": width}
    arch = dataclasses.replace(FAMILIES["switch"], **sizes, dropout=0.1, expert_dropout=0.4)
    layer = Experts(arch, Declare(jax.random.key(0)), lambda x, names: x)
    layer.wi[...] = layer.wo[...] = np.eye(width, dtype=np.float32)[None]
    x = np.ones((8, 2, width), np.float32)
    y = np.asarray(layer(x, None, jax.random.key(1))[0])
    assert (y == 0).mean() == pytest.approx(0.4, abs=4 * (0.24 / (8 * width)) ** 0.5)
    np.testing.assert_allclose(y[y != 0], 1 / 0.6, rtol=1e-5)
    np.testing.assert_allclose(layer(x, None)[0], 1.0, rtol=1e-5)
