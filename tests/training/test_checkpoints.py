"""Checkpoints: exact return on any mesh, kept and due by the rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from t2t.errors import Failure, UserError
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoint_reading import steps_in
from t2t.training.checkpoints import open_checkpoints, restore_parameters
from t2t.training.leaf_names import named_leaves
from tests.training.saved_states import RECORD, assert_same, make_state, read, shapes_of, written


def test_round_trip_is_exact_and_gives_the_same_types_back(tmp_path):
    written(tmp_path, 1, 5)
    step, state, record, lines = read(tmp_path)
    assert (step, record, lines) == (5, RECORD, [])
    assert_same(state, make_state(5))
    assert read(tmp_path, step=1)[0] == 1
    assert_same(read(tmp_path, step=1)[1], make_state(1))


@pytest.mark.parametrize("shape, spec", [((8,), ("a",)), ((2, 4), ("a", "b")), ((4, 2), ("b",))])
def test_any_mesh_to_any_mesh(tmp_path, shape, spec):
    def layout(state, shape, spec):
        mesh = jax.make_mesh(
            shape, ("a", "b")[: len(shape)], axis_types=(AxisType.Auto,) * len(shape)
        )

        def one(x):
            names = [
                n if i < x.ndim and x.shape[i] % mesh.shape[n] == 0 else None
                for i, n in enumerate(spec)
            ][: x.ndim]
            return NamedSharding(mesh, PartitionSpec(*names))

        return jax.tree.map(one, state)

    state = make_state(3)
    store = open_checkpoints(tmp_path, Checkpoints())
    store.save(3, jax.device_put(state, layout(state, shape, spec)), RECORD)
    store.wait()
    other = layout(state, (4, 2), ("a", "b"))
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, other
    )
    _, found, _ = store.restore(abstract)
    store.close()
    assert_same(found, state)
    for x, s in zip(jax.tree.leaves(found), jax.tree.leaves(other), strict=True):
        assert x.sharding.is_equivalent_to(s, x.ndim)


def test_cast_after_verification(tmp_path):
    written(tmp_path, 2)
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), make_state()["params"]
    )
    params = restore_parameters(tmp_path, 2, abstract)
    assert_same(params, jax.tree.map(lambda x: x.astype(jnp.bfloat16), make_state(2)["params"]))


def test_a_part_of_the_parameters(tmp_path):
    written(tmp_path, 2, 4)
    params = restore_parameters(
        tmp_path, None, {"table": jax.ShapeDtypeStruct((64, 16), "float32")}
    )
    assert_same(params, {"table": make_state(4)["params"]["table"]})


def test_wrong_shapes_and_names_are_the_users(tmp_path):
    written(tmp_path, 2)
    store = open_checkpoints(tmp_path, Checkpoints(), read_only=True)
    abstract = shapes_of(make_state())
    abstract["params"]["table"] = jax.ShapeDtypeStruct((65, 16), jnp.float32)
    with pytest.raises(UserError, match=r"2: params/table has shape \(64, 16\) there and \(65, 16"):
        store.restore(abstract)
    abstract = shapes_of(make_state())
    abstract["params"]["tables"] = abstract["params"].pop("table")
    with pytest.raises(UserError, match="has no params/tables.*mean 'params/table'"):
        store.restore(abstract)
    del abstract["params"]["tables"]
    with pytest.raises(UserError, match="holds params/table, which this run has not"):
        store.restore(abstract)
    with pytest.raises(UserError, match="has no step 9; it has 2"):
        store.restore(shapes_of(make_state()), 9)
    with pytest.raises(Failure, match="no checkpoint was finished there"):
        open_checkpoints(tmp_path / "none", Checkpoints(), read_only=True).restore(abstract)


def test_keep_rules(tmp_path):
    store = open_checkpoints(
        tmp_path,
        Checkpoints(keep_latest=2, keep_every_steps=6, keep_best=2, best_metric="eval/books/loss"),
    )
    losses = {2: 5.0, 4: 1.0, 6: 3.0, 8: float("nan"), 10: 2.0, 12: 9.0, 14: None, 16: 8.0}
    for step, loss in losses.items():
        store.save(
            step,
            make_state(step),
            RECORD,
            None if loss is None else {"eval/books/loss": loss, "eval/other/loss": 0.0},
        )
        store.wait()
        if step == 10:  # opened again: the metrics are read back
            store.close()
            store = open_checkpoints(
                tmp_path,
                Checkpoints(
                    keep_latest=2, keep_every_steps=6, keep_best=2, best_metric="eval/books/loss"
                ),
            )
    store.close()
    assert steps_in(tmp_path) == [4, 6, 10, 12, 14, 16]  # best 4 10, every 6: 6 12, newest 14 16


def test_a_step_evaluated_only_after_its_save_is_ranked(tmp_path):
    keep = Checkpoints(keep_latest=1, keep_best=1, best_metric="eval/books/loss")
    store = open_checkpoints(tmp_path, keep)
    store.save(2, make_state(2), RECORD)  # a stop cut its evaluation off
    store.close()
    store = open_checkpoints(tmp_path, keep)
    store.rank(2, {"eval/books/loss": 1.0})
    for step, loss in ((4, 3.0), (6, 2.0)):
        store.save(step, make_state(step), RECORD, {"eval/books/loss": loss})
        store.wait()
    store.close()
    assert steps_in(tmp_path) == [2, 6]


def test_due_by_steps_and_by_time(tmp_path):
    now = [100.0]
    store = open_checkpoints(
        tmp_path, Checkpoints(every_steps=10, every_seconds=60), clock=lambda: now[0]
    )
    assert [s for s in range(1, 31) if store.due(s)] == [10, 20, 30]
    now[0] += 59
    assert not store.due(31)
    now[0] += 1
    assert store.due(32)
    store.save(32, make_state(), RECORD)
    assert not store.due(32) and not store.due(33) and store.due(40)
    now[0] += 61
    assert store.due(34)
    store.close()
    store = open_checkpoints(tmp_path / "never", Checkpoints(every_steps=0))
    assert not any(store.due(s) for s in range(1, 100))
    store.close()


def test_donating_right_after_save_is_safe(tmp_path):
    store = open_checkpoints(tmp_path, Checkpoints())
    step = jax.jit(lambda s: jax.tree.map(lambda x: x * 2 + 1, s), donate_argnums=0)
    params = {"w": jnp.ones((512, 512))}
    want = []
    for i in range(1, 6):
        store.save(i, {"params": params}, RECORD)
        want.append(np.asarray(params["w"])[0, 0])
        params = step(params)
    store.close()
    for i in (3, 4, 5):
        shape = {"w": jax.ShapeDtypeStruct((512, 512), jnp.float32)}
        assert np.all(np.asarray(restore_parameters(tmp_path, i, shape)["w"]) == want[i - 1])


def test_saved_without_fingerprints(tmp_path, capfd):
    written(tmp_path, 1, verify=False)
    assert_same(read(tmp_path)[1], make_state(1))
    assert "used unverified" in capfd.readouterr().err


def test_names_are_the_plain_path(tmp_path):
    names = list(named_leaves(make_state()))
    assert "params/layers/kernel" in names and "opt_state/0/second/layers/kernel/row" in names


@pytest.mark.parametrize(
    "cfg, field",
    [
        (Checkpoints(keep_latest=0), "keep_latest"),
        (Checkpoints(every_steps=-1), "every_steps"),
        (Checkpoints(keep_best=1), "best_metric"),
        (Checkpoints(keep_best=1, best_metric="loss"), "best_metric"),
    ],
)
def test_check_names_the_field(cfg, field):
    with pytest.raises(UserError, match=rf"^checkpoints\.{field}: "):
        cfg.check("checkpoints")
