"""FLOPs against counts made elsewhere: XLA's own, and figures worked out by torch's counter."""

import dataclasses
import re
import types

import jax
import numpy as np
import pytest

from t2t.models.families import bert, byt5, distilbert, mt5, switch, t5, t5_1_1, t5gemma, xlnet
from t2t.models.transformer import build
from t2t.models.two_stream import Memory
from t2t.monitoring import flops
from t2t.monitoring.flops import forward_flops, mfu, peak_flops, train_flops

# Matrix-product FLOPs of a training step for one row, from the closed form that equals
# torch.utils.flop_counter on the Hugging Face classes.
KNOWN = [
    (t5_1_1, "small", 512, 114, 106_253_402_112),
    (t5_1_1, "base", 512, 114, 425_944_203_264),
]


@pytest.mark.parametrize("family", [t5, t5_1_1, byt5])
def test_forward_equals_the_products_of_the_traced_network(family):
    """Counts 2 m n k over every dot_general that jax traces, written apart from the formula."""
    arch = family.architecture(
        "small",
        d_model=24,
        heads=3,
        head_dim=5,
        d_ff=40,
        encoder_layers=3,
        decoder_layers=2,
        layers="unroll",
    )
    model = build(arch)
    batch = {"encoder": {"tokens": np.zeros((2, 7), np.int32)}}
    batch["decoder"] = {"tokens": np.zeros((2, 4), np.int32)}
    jaxpr = jax.make_jaxpr(lambda p: model.logits(p, model.forward(p, batch)[0]))(model.shapes)
    assert forward_flops(arch, 7, 4, rows=2) == products(jaxpr.jaxpr)


def test_a_token_has_one_expert_and_the_router():
    arch = switch.architecture("base-8", encoder_layers=4, decoder_layers=2)
    plain = forward_flops(dataclasses.replace(arch, experts=0), 64, 16)
    routers = 2 * 8 * 768 * (2 * 64 + 1 * 16)  # in half of the layers
    assert forward_flops(arch, 64, 16) == plain + routers


def test_layers_with_a_window_count_the_pairs_inside_it():
    """By hand over masks: |i - j| <= w in an encoder, i - w < j <= i in a decoder."""
    i, j = np.mgrid[:20, :20]
    for window in (1, 3, 8, 19, 20, 30):
        inside = int((abs(i - j) <= window).sum())
        assert flops.pairs_in_window(20, window, False) == inside
        back = int(((j <= i) & (i - j < window)).sum()) if window < 20 else 400
        assert flops.pairs_in_window(20, window, True) == back
    arch = t5gemma.architecture("2b-2b", encoder_layers=4, decoder_layers=3, window=5)
    whole = dataclasses.replace(arch, window=0)
    inner, saved = 8 * 256, 2 * (400 - int((abs(i - j) <= 5).sum()))
    saved += 2 * (144 - flops.pairs_in_window(12, 5, True))  # layers 1 and 3 of three
    assert forward_flops(whole, 20, 12) - forward_flops(arch, 20, 12) == 4 * inner * saved


def test_distilbert_costs_093_of_a_step_of_bert():
    teacher = bert.architecture("base", vocab_size=30592)
    student = distilbert.architecture("base", vocab_size=30592)
    run = types.SimpleNamespace(
        model=student, generator=None, teacher=types.SimpleNamespace(model=teacher)
    )
    share = flops.run_flops(run, 512, 77) / train_flops(teacher, 512, 512)
    assert round(share, 2) == 0.93


def test_two_streams_over_a_memory_equal_the_products_of_the_traced_network():
    shape = {"d_model": 24, "heads": 3, "head_dim": 5, "d_ff": 40, "encoder_layers": 3}
    arch = xlnet.architecture("base", **shape, layers="unroll")
    model = build(arch)
    side = {"tokens": np.zeros((2, 12), np.int32), "queried": np.zeros((2, 4), np.int32)}
    side["memory"] = Memory(np.zeros((2, 3, 7, 24)), np.ones((2, 7), bool))
    run = lambda p: model.logits(p, model.forward(p, {"encoder": side})[0])
    jaxpr = jax.make_jaxpr(run)(model.shapes)
    assert forward_flops(arch, 12, 4, rows=2, memory=7) == products(jaxpr.jaxpr)
    # ../shared/reference/flops_oracle.py says of large, 85 of 512 tokens predicted over 384 remembered,
    # 522,357,047,296 without keys and values of what is remembered.
    keys = 24 * 4 * 384 * 1024**2
    count = forward_flops(xlnet.architecture("large"), 512, 85, memory=384)
    assert count == 522_357_047_296 + keys


def products(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * equation.outvars[0].aval.size * int(np.prod([left[i] for i in contracted]))
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += products(inner)
    return total


@pytest.mark.parametrize(("family", "size", "inputs", "targets", "flops"), KNOWN)
def test_published_sizes(family, size, inputs, targets, flops):
    assert train_flops(family.architecture(size), inputs, targets) == flops


def test_small_step_of_eight_rows_is_085_teraflops():
    assert round(train_flops(t5_1_1.architecture("small"), 512, 114, rows=8) / 1e12, 2) == 0.85


def test_mt5_small_is_far_from_six_n_tokens():
    exact = train_flops(mt5.architecture("small"), 1024, 229)
    assert 6 * 300_176_768 * (1024 + 229) / exact == pytest.approx(5.78, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("TPU v2", 23),
        ("TPU v3", 61.5),
        ("TPU v4", 275),
        ("TPU v5 lite", 197),
        ("TPU v5e", 197),
        ("TPU v5", 459),
        ("TPU v5p", 459),
        ("TPU v6 lite", 918),
        ("TPU v6e", 918),
        ("TPU7x", 1153.5),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H200", 989),
        ("NVIDIA B200", 2250),
    ],
)
def test_peak_by_the_names_devices_give_themselves(kind, teraflops):
    assert peak_flops(kind) == teraflops * 1e12


def test_every_tpu_that_jax_names_has_a_peak():
    source = pytest.importorskip("jax._src.pallas.mosaic.tpu_info")
    import inspect

    kinds = set(re.findall(r'"(TPU ?v?[0-9]\w*(?: lite)?)"', inspect.getsource(source)))
    if not kinds:
        pytest.skip("this jax keeps the names of TPUs elsewhere")
    assert {"TPU v4", "TPU v5 lite", "TPU v6 lite"} <= kinds
    unknown = {"TPU v4 lite", "TPU7", "TPU8i"}  # no published dense bfloat16 peak that we trust
    assert {kind for kind in kinds - unknown if peak_flops(kind) is None} == set()


def test_mfu_only_where_the_peak_is_known():
    assert mfu(989e12, 2.0, 1, "NVIDIA H200") == pytest.approx(0.5)
    assert mfu(989e12, 1.0, 4, "NVIDIA H200") == pytest.approx(0.25)
    assert mfu(1e12, 1.0, 1, "cpu") is None
