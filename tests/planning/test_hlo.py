"""Collectives read from programs that XLA compiled here for eight devices, against what was asked."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from t2t.planning import hlo

MESH = {"data": 2, "fsdp": 4}


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((2, 4), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def compiled(function, mesh, *arguments):
    shapes = [
        jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, PartitionSpec(*spec)))
        for shape, dtype, spec in arguments
    ]
    return jax.jit(function).lower(*shapes).compile().as_text()


def test_an_all_gather_over_one_axis(mesh):
    whole = NamedSharding(mesh, PartitionSpec())

    def gather(x):
        return jax.lax.with_sharding_constraint(x * 2, whole)

    (one,) = hlo.collectives(compiled(gather, mesh, ((64, 32), jnp.float32, ("fsdp",))))
    assert (one.kind, one.size, one.times) == ("all-gather", 64 * 32 * 4, 1)
    assert hlo.axes_of(one.groups, MESH) == ("fsdp",)
    # A ring of 4 sends three quarters of the result.
    assert one.wire_bytes(8) == 64 * 32 * 4 * 3 / 4


def test_a_reduction_inside_a_loop_counts_every_trip(mesh):
    by_column = NamedSharding(mesh, PartitionSpec(None, "fsdp"))

    def chained(x, w):
        def body(x, _):
            y = jnp.tanh(x @ w)  # contracts a dimension split over fsdp
            return jax.lax.with_sharding_constraint(y, by_column), None

        return jax.lax.scan(body, x, None, length=7)[0]

    text = compiled(
        chained,
        mesh,
        ((16, 64), jnp.float32, (None, "fsdp")),
        ((64, 64), jnp.float32, ("fsdp", None)),
    )
    found = hlo.collectives(text)
    reduced = [c for c in found if c.kind in ("all-reduce", "reduce-scatter")]
    assert reduced and {c.times for c in reduced} == {7}
    assert all(hlo.axes_of(c.groups, MESH) == ("fsdp",) for c in reduced)


def test_a_sum_over_the_whole_mesh(mesh):
    found = hlo.collectives(compiled(jnp.sum, mesh, ((64, 32), jnp.float32, (("data", "fsdp"),))))
    (one,) = [c for c in found if c.kind == "all-reduce"]
    assert hlo.axes_of(one.groups, MESH) == ("data", "fsdp")
    assert one.size == 4 and one.wire_bytes(8) == 2 * 4 * 7 / 8


@pytest.mark.parametrize(
    "text, groups",
    [
        ("replica_groups={{0,1},{2,3}}, dims", ((0, 1), (2, 3))),
        ("replica_groups=[2,4]<=[8], x", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("replica_groups=[4,2]<=[2,4]T(1,0), x", ((0, 4), (1, 5), (2, 6), (3, 7))),
        ("source_target_pairs={{0,4},{4,0}}, x", ((0, 4), (4, 0))),
        ("replica_groups={}, x", ()),
        ("replica_groups=mesh['a'=2,'b'=4] {'b'}, x", ((0, 1, 2, 3), (4, 5, 6, 7))),
        ("replica_groups=mesh['a'=2,'b'=4] {'b':(2)2}, x", ((0, 1), (2, 3), (4, 5), (6, 7))),
        (
            "replica_groups=mesh['a'=4,'b'=1,'c'=2], device_ids=([2,4]T(1,0)) {'a'}, dimensions={0}",
            ((0, 1, 2, 3), (4, 5, 6, 7)),
        ),
    ],
)
def test_groups(text, groups):
    assert hlo.replica_groups(text) == groups


@pytest.mark.parametrize(
    "text, size",
    [
        ("f32[8,16]{1,0}", 512),
        ("(bf16[4]{0}, s32[])", 12),
        ("pred[3,3]{1,0:T(8,128)}", 9),
        ("token[]", 0),
    ],
)
def test_bytes_of_types(text, size):
    assert hlo.type_bytes(text) == size


ASYNCHRONOUS = """HloModule m

%async_computation (p: f32[4]) -> f32[16] {
  %p = f32[4]{0} parameter(0)
  ROOT %g = f32[16]{0} all-gather(%p), channel_id=3, replica_groups=[2,4]<=[8], dimensions={0}
}

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %g = f32[4]{0} negate(%p)
}

ENTRY %main (a: f32[4]) -> f32[16] {
  %a = f32[4]{0} parameter(0)
  %s = ((f32[4]{0}), f32[16]{0}, u32[]) async-start(%a), calls=%async_computation
  %t = (f32[4]{0}, f32[32]{0}) all-gather-start(%a), channel_id=4, replica_groups=[1,8]<=[8]
  %u = f32[32]{0} all-gather-done(%t)
  ROOT %d = f32[16]{0} async-done(%s), calls=%async_computation
}
"""


def test_an_asynchronous_pair_is_one_collective():
    found = {c.size: c for c in hlo.collectives(ASYNCHRONOUS)}
    assert set(found) == {64, 128}
    assert all(c.overlapped and c.kind == "all-gather" for c in found.values())


# As XLA 0.10.2 prints them for eight H100; attributes that nothing reads are left out.
ON_GPU = """HloModule jit_step, is_scheduled=true

%body (p: (s32[], bf16[1024,2048])) -> (s32[], bf16[1024,2048]) {
  %p = (s32[], bf16[1024,2048]{1,0}) parameter(0)
  %get-tuple-element.87.0 = bf16[1024,2048]{1,0} get-tuple-element(%p), index=1
  %reduce-scatter-start = ((bf16[1024,2048]{1,0}, bf16[1024,2048]{1,0}), (bf16[128,2048]{1,0}, \
bf16[128,2048]{1,0})) reduce-scatter-start(%get-tuple-element.87.0, %get-tuple-element.87.0), \
channel_id=7, replica_groups=mesh['axis_0'=8,'axis_1'=1] {'axis_0'}, use_global_device_ids=true, \
dimensions={0}, to_apply=%add.clone, metadata={scheduling_name="reduce-scatter-start"}
  %reduce-scatter-done = (bf16[128,2048]{1,0}, bf16[128,2048]{1,0}) \
reduce-scatter-done(%reduce-scatter-start), metadata={scheduling_name="reduce-scatter-done"}
  ROOT %tuple = (s32[], bf16[1024,2048]{1,0}) tuple(%p, %get-tuple-element.87.0)
}

ENTRY %main (a: bf16[1024,2048], b: f32[64]) -> bf16[1024,2048] {
  %a = bf16[1024,2048]{1,0} parameter(0)
  %b = f32[64]{0} parameter(1)
  %all-reduce-start = (f32[64]{0}, f32[64]{0}) all-reduce-start(%b, %b), channel_id=2, \
replica_groups=[1,8]<=[8], to_apply=%add
  %while = (s32[], bf16[1024,2048]{1,0}) while(%a), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"4"}}
  ROOT %got = bf16[1024,2048]{1,0} get-tuple-element(%while), index=1
}
"""


def test_a_started_reduction_is_as_large_as_its_results_and_not_its_operands_too():
    reduced, scattered = sorted(hlo.collectives(ON_GPU), key=lambda c: c.kind)
    assert (reduced.kind, reduced.size, reduced.times) == ("all-reduce", 2 * 64 * 4, 1)
    assert (scattered.kind, scattered.times) == ("reduce-scatter", 4)
    assert scattered.size == 2 * 128 * 2048 * 2
    # A ring of 8: every device sends seven of the eight parts of each operand.
    assert scattered.wire_bytes(8) == 2 * 1024 * 2048 * 2 * 7 / 8


def test_trips_are_those_of_the_loop_named(mesh):
    text = compiled(
        functools.partial(jax.lax.fori_loop, 0, 5, lambda i, x: jnp.sin(x) * i),
        mesh,
        ((8,), jnp.float32, ()),
    )
    found, entry = hlo.computations(text)
    loops = [i for body in found.values() for i in body if i.opcode == "while"]
    assert entry in found and [hlo.trips(loop, found) for loop in loops] == [5]


def test_beside_counts_what_stands_on_one_host_of_a_group_that_leaves_it():
    places = [0] * 4 + [1] * 4
    assert hlo.beside(((0, 4), (1, 5)), places) == 1
    assert hlo.beside(((0, 1, 4, 5), (2, 3, 6, 7)), places) == 2
    assert hlo.beside((), places) == 4  # all devices
    assert hlo.beside(((0, 1, 2, 3), (4, 5, 6, 7)), places) == 0
    assert hlo.beside((), [0] * 8) == 0
