"""XLNet's tower against the independent NumPy transformer: contents, queries, memory; float64."""

import dataclasses

import jax
import numpy as np
import pytest

from t2t.errors import UserError
from t2t.models.families import xlnet
from t2t.models.two_stream import Memory
from tests.models import oracle

SHAPE = {"vocab_size": 128, "d_model": 32, "heads": 4, "head_dim": 8, "d_ff": 48}
ARCH = dataclasses.replace(xlnet.architecture("base"), **SHAPE, encoder_layers=3, layers="unroll")
LENGTH, MEMORY = 40, 7
_ATTENTION = {
    "query/kernel": "q.w",
    "key/kernel": "k.w",
    "value/kernel": "v.w",
    "out/kernel": "o.w",
    "position/kernel": "r.w",
    "content_query/bias": "rw",
    "position_query/bias": "rr",
    "segment_query/bias": "rs",
    "segment_key/table": "seg",
}
_PARTS = {
    "feed_forward/wi": "ffn.i",
    "feed_forward/wo": "ffn.out",
    "post_attention_norm": "n1",
    "post_feed_forward_norm": "n3",
}


def parameters(params) -> dict:
    """Ours by the names of the oracle."""
    result = {
        "emb.tok": params["token_embedding"]["table"],
        "emb.mask": params["encoder"]["query_embedding"]["table"],
        "head.out.b": params["vocabulary_bias"]["bias"],
    }
    for path, leaf in jax.tree_util.tree_leaves_with_path(params["encoder"]["layers"]):
        name = "/".join(key.key for key in path)
        for i, one in enumerate(np.asarray(leaf)):
            stem, _, last = name.rpartition("/")
            if stem in _PARTS:
                key = _PARTS[stem] + {"kernel": ".w", "scale": ".w", "bias": ".b"}[last]
            else:
                key = "self." + _ATTENTION[name.removeprefix("self_attention/")]
                if not key.endswith(".w"):
                    one = one.reshape(*one.shape[:-1], ARCH.heads, ARCH.head_dim)
            result[f"enc.{i}.{key}"] = one
    return result


def rows(seed=0):
    """(side of a batch, what the oracle takes): padded, with segment types, ranks and queries."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(6, 128, (3, LENGTH)).astype(np.int32)
    types = (np.arange(LENGTH) >= np.array([[15], [20], [4]])).astype(np.int32)
    there = (np.arange(LENGTH) < np.array([[LENGTH], [33], [20]])).astype(np.int32)
    order = np.argsort(np.argsort(rng.random((3, LENGTH)) + 9 * (1 - there), axis=1), axis=1)
    target = (order % 6 == 0) & (there > 0)
    ranks = np.where(target, 1 + order, 0).astype(np.int32)
    queried = np.stack([np.flatnonzero(row)[:3] for row in target]).astype(np.int32)
    side = {"tokens": tokens, "types": types, "segments": there, "ranks": ranks}
    # As the released code has it: targets are hidden from all that do not come behind them.
    hidden = target[:, None, :] & (ranks[:, :, None] <= ranks[:, None, :])
    mapping = np.eye(LENGTH)[queried]
    memory = rng.normal(size=(3, 3, MEMORY, 32)) * 0.5  # [layers, B, M, E]
    return side, queried, memory, {"perm": hidden.astype(float), "target": mapping}


def ours(arch, params, side, **more):
    model, _ = oracle.moved(arch)

    def run(params, side):
        hidden, _, aux = model.forward(params, {"encoder": side})
        return model.logits(params, hidden), aux["encoder"]["read"]

    return jax.jit(run)(params, {**side, **more})


def remembered(memory):
    return Memory(np.moveaxis(memory, 0, 1), np.ones((3, MEMORY), bool))


def apart(got, want):
    assert got.dtype == np.float64 and got.shape == want.shape
    return np.abs(got - want).max() / np.abs(want).max()


def test_queries_over_a_memory_equal_the_numpy_transformer():
    reference = oracle.load()
    side, queried, memory, theirs = rows()
    with jax.enable_x64(True):
        _, params = oracle.moved(ARCH)
        net = reference.Net(
            reference.Arch(
                d=32,
                heads=4,
                d_ff=48,
                vocab=128,
                enc=reference.Stack(3, "explicit"),
                pos="txl",
                place="post",
                n_types=2,
            ),
            parameters(params),
        )
        given = side["tokens"], side["segments"]
        want, _ = net(*given, types=side["types"], mems=list(memory), **theirs)
        logits, read = ours(ARCH, params, side, queried=queried, memory=remembered(memory))
        assert apart(logits, want) < 1e-12
        # What the first layer reads is the embedding itself.
        assert apart(read[0], params["token_embedding"]["table"][side["tokens"]]) < 1e-15


def test_a_backward_row_is_the_row_in_a_mirror():
    """The same text from its end, and told so, has the same states at the same tokens."""
    side, queried, _, _ = rows()
    side["segments"] = np.ones_like(side["segments"])
    turned = {name: part[:, ::-1] for name, part in side.items()}
    with jax.enable_x64(True):
        _, params = oracle.moved(ARCH)
        plain, read = ours(ARCH, params, side, queried=queried)
        told = {"queried": LENGTH - 1 - queried, "backward": np.array([1, 0, 1], np.int32)}
        logits, others = ours(ARCH, params, turned, **told)
        assert apart(logits[::2], plain[::2]) < 1e-12
        assert apart(others[:, ::2, ::-1], read[:, ::2]) < 1e-12
        assert apart(logits[1], plain[1]) > 1e-3  # which is not told


@pytest.mark.slow
def test_contents_alone_equal_the_numpy_transformer_scanned_and_recomputed():
    reference = oracle.load()
    side, queried, memory, theirs = rows()
    other = dataclasses.replace(ARCH, layers="scan", remat="full")
    with jax.enable_x64(True):
        _, params = oracle.moved(ARCH)
        axes = {"enc": reference.Stack(3, "explicit"), "pos": "txl", "place": "post"}
        shape = {"d": 32, "heads": 4, "d_ff": 48, "vocab": 128, "n_types": 2}
        net = reference.Net(reference.Arch(**shape, **axes), parameters(params))
        plain = {k: v for k, v in side.items() if k != "ranks"}
        want, _ = net(side["tokens"], side["segments"], types=side["types"])
        inside = side["segments"] > 0
        assert apart(np.asarray(ours(ARCH, params, plain)[0])[inside], want[inside]) < 1e-12
        del plain["types"]  # then there is no segment term at all
        want, _ = net(side["tokens"], side["segments"])
        assert apart(np.asarray(ours(ARCH, params, plain)[0])[inside], want[inside]) < 1e-12
        every = {"queried": queried, "memory": remembered(memory)}
        one, two = (ours(arch, params, side, **every) for arch in (ARCH, other))
        assert apart(two[0], np.asarray(one[0])) < 1e-13
        assert apart(two[1], np.asarray(one[1])) < 1e-13


@pytest.mark.slow
def test_an_empty_memory_is_none_and_two_rows_are_one_longer_row():
    """Contents of a second row that remembers a whole first one, which did not see it."""
    side, _, memory, _ = rows()
    with jax.enable_x64(True):
        _, params = oracle.moved(ARCH)
        empty = Memory(np.moveaxis(memory, 0, 1), np.zeros((3, MEMORY), bool))
        one, two = ours(ARCH, params, side), ours(ARCH, params, side, memory=empty)
        inside = side["segments"] > 0
        assert apart(np.asarray(two[0])[inside], np.asarray(one[0])[inside]) < 1e-13
        tokens = side["tokens"]
        half = LENGTH // 2
        first = {"tokens": tokens[:, :half], "ranks": np.zeros((3, half), np.int32)}
        second = {"tokens": tokens[:, half:], "ranks": np.zeros((3, half), np.int32)}
        ranks = np.repeat([[0, 1]], 3, axis=0).repeat(half, axis=1).astype(np.int32)
        whole = np.asarray(ours(ARCH, params, {"tokens": tokens, "ranks": ranks})[0])
        read = np.moveaxis(np.asarray(ours(ARCH, params, first)[1]), 0, 1)
        memory = Memory(read, np.ones((3, half), bool))
        again = ours(ARCH, params, second, memory=memory)
        assert apart(np.asarray(again[0]), whole[:, half:]) < 1e-12


@pytest.mark.parametrize(
    "change, named",
    [
        ({"token_types": 2}, "token_types: is not for relative_attention"),
        ({"norm_place": "before"}, "norm_place: must be 'after' with relative_attention"),
        ({"decoder_layers": 2}, "relative_attention: is for an encoder alone"),
        ({"d_model": 33}, "d_model: 33 is odd"),
    ],
)
def test_what_does_not_go_with_it_is_refused(change, named):
    with pytest.raises(UserError, match=named):
        dataclasses.replace(ARCH, **change).check("config.model")
