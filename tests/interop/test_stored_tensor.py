"""Every view equals the same operation on the whole array, whatever slice of it is read."""

import itertools

import numpy as np
import pytest

from t2t.interop import stored_tensor as views
from t2t.interop.published import leaves_of, parameter_shapes, tensors_of
from t2t.interop.stored_tensor import of_array
from t2t.models.families import t5_1_1
from t2t.models.published_weight import PublishedWeight

A = np.arange(2 * 3 * 4 * 6, dtype=np.float32).reshape(2, 3, 4, 6)
M = np.arange(48, dtype=np.float32).reshape(6, 8)
VIEWS = {
    "transposed": (views.transposed(of_array(M)), M.T),
    "stacked": (views.stacked([of_array(M), of_array(-M)]), np.stack([M, -M])),
    "row": (views.row(of_array(A), 1), A[1]),
    "axis_first": (views.axis_first(of_array(A), 2), np.moveaxis(A, 2, 0)),
    "merged": (views.merged_axes(of_array(A), 1), A.reshape(2, 12, 6)),
    "split": (views.split_axis(of_array(M), 1, 2), M.reshape(6, 2, 4)),
    "part": (views.part_of(of_array(M), 1, 4), M[:, 2:4]),
    "joined": (views.joined([of_array(M), of_array(-M)]), np.concatenate([M, -M], 1)),
    "padded": (views.padded(of_array(M), 0, 9), np.concatenate([M, M[:1], M[:1], M[:1]])),
    "padded-columns": (views.padded(of_array(M), 1, 9), np.concatenate([M, M[:, :1]], 1)),
    "chained": (
        views.merged_axes(views.axis_first(of_array(A), 1), 1),
        np.moveaxis(A, 1, 0).reshape(3, 8, 6),
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_reads_what_the_array_would_be(name):
    view, want = VIEWS[name]
    assert view.shape == want.shape
    np.testing.assert_array_equal(view.whole(), want)
    choices = [
        [slice(None), slice(0, 1), slice(size // 2, size), slice(-1, None), slice(1, 1)]
        for size in want.shape
    ]
    for index in itertools.product(*choices):
        np.testing.assert_array_equal(view.at(index), want[index])


def test_only_what_is_asked_for_is_read():
    asked = []
    source = of_array(M)

    def read(index):
        asked.append(index)
        return source.read(index)

    watched = views.StoredTensor(M.shape, M.dtype, read)
    stack = views.stacked([source, views.transposed(views.transposed(watched)), source])
    stack.at((slice(0, 1), slice(None), slice(None)))
    assert not asked
    stack.at((slice(1, 2), slice(2, 4), slice(None)))
    assert asked == [(slice(2, 4), slice(0, 8))]


@pytest.mark.parametrize("largest", [1, 40, 200, 10**9])
def test_blocks_cover_a_tensor_once_and_in_order(largest):
    for array in (A, M, np.float32([3, 4]), np.float32(5)):
        tensor = of_array(np.asarray(array))
        parts = [tensor.read(i) for i in views.blocks(tensor, largest)]
        np.testing.assert_array_equal(np.concatenate([np.ravel(p) for p in parts]), np.ravel(array))
        assert len(parts) == 1 or max(p.nbytes for p in parts) <= max(largest, 6 * 4 * 4)


def test_the_widest_type_of_a_stack_holds_all_its_layers():
    stack = views.stacked([of_array(M.astype(np.float16)), of_array(M)])
    assert stack.dtype == np.float32 and stack.whole().dtype == np.float32


def test_equal_sees_one_number():
    other = M.copy()
    assert views.equal(of_array(M), of_array(other), 1)
    other[-1, -1] += 1
    assert not views.equal(of_array(M), of_array(other), 1)
    assert not views.equal(of_array(M), of_array(M.T))


def test_fused_and_split_tensors_go_in_and_come_out_as_they_were():
    """GPT-2 keeps q, k, v in one [in, 3 out]; XLNet keeps raw [in, heads, head_dim] tensors."""
    arch = t5_1_1.architecture(
        "small", vocab_size=128, d_model=8, heads=2, head_dim=4, d_ff=12,
        encoder_layers=2, decoder_layers=1,
    )  # fmt: skip
    shapes, weights, rng = parameter_shapes(arch), [], np.random.default_rng(0)
    tensors = {}
    for path, shape in shapes.items():
        layers = range(shape[0]) if path[1] == "layers" else [None]
        one = shape[1:] if path[1] == "layers" else shape
        for i in layers:
            name = "/".join((*path, str(i)))
            extra, stored = {}, one
            if path[-2] in ("query", "key", "value") and path[2] == "self_attention":
                name = "/".join((*path[:-2], "qkv", str(i)))
                extra = {"part": (("query", "key", "value").index(path[-2]), 3)}
                stored = (one[0], 3 * one[1])
            elif path[-2] == "query":
                extra, stored = {"heads_axis": 1}, (one[0], 2, one[1] // 2)
            elif path[-2] == "out":
                # [embed, heads, head_dim], contracted over its last two axes
                extra = {"heads_axis": 1, "transposed": True}
                stored = (one[1], 2, one[0] // 2)
            weights.append(PublishedWeight(name, path, i, **extra))
            tensors.setdefault(name, of_array(rng.normal(size=stored).astype(np.float32)))
    leaves = leaves_of(weights, tensors, arch, "here", "this")
    assert {path: leaf.shape for path, leaf in leaves.items()} == shapes
    fused = tensors["encoder/layers/self_attention/qkv/1"].whole()
    key = leaves["encoder", "layers", "self_attention", "key", "kernel"].whole()
    np.testing.assert_array_equal(key[1], fused[:, 8:16])
    raw = tensors["encoder/layers/self_attention/out/kernel/0"].whole()
    out = leaves["encoder", "layers", "self_attention", "out", "kernel"].whole()
    x = rng.normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_allclose(
        x.reshape(-1) @ out[0], np.einsum("hd,ehd->e", x, raw), rtol=1e-5, atol=1e-6
    )
    back = tensors_of(weights, leaves, heads=2)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name].whole(), tensor.whole())
