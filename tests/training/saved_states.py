"""A state like a run's, checkpoints of it, and what is read of them."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

from t2t.training.checkpoint_config import Checkpoints
from t2t.training.checkpoints import open_checkpoints
from t2t.training.optimizer_config import Adafactor
from t2t.training.optimizers import build

RECORD = {"config": {"steps": 10}, "tokenizer": "abc", "batch_pieces": [[0, 0, 8]]}
AXES = {
    "layers": {"kernel": ("layers", "embed", "mlp"), "scale": ("layers", "embed")},
    "table": ("vocab", "embed"),
}


def make_state(seed: int = 0) -> dict:
    """A state like a run's: nested parameters, NamedTuples, empty states, keys, bfloat16."""
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {
        "layers": {
            "kernel": jax.random.normal(keys[0], (4, 16, 32)),
            "scale": jnp.ones((4, 16)) * seed,
        },
        "table": jax.random.normal(keys[1], (64, 16)),
    }
    adafactor = build(Adafactor(min_dim_size_to_factor=8), lambda t: jnp.float32(0.1), AXES)
    adam = optax.chain(optax.clip(1.0), optax.adam(1e-3), optax.identity())
    return {
        "params": params,
        "frozen": {},
        "carry": {},
        "opt_state": (adafactor.init(params), adam.init(params)),
        "memory": jax.random.normal(keys[2], (8, 4)).astype(jnp.bfloat16),
        "key": jax.random.split(jax.random.key(seed + 7), 2),
        "step": jnp.int32(seed),
    }


def shapes_of(state, sharding=None):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


def raw(x) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(raw(x), raw(y))


def written(directory, *steps, **kind) -> None:
    store = open_checkpoints(directory, Checkpoints(**{"keep_latest": 100} | kind))
    for step in steps:
        store.save(step, make_state(step), RECORD, {})
    store.close()


class Lines(list):
    """Collects what would be printed."""

    def __call__(self, line: str) -> None:
        self.append(line)


def read(directory, step=None, **kind):
    """Returns (step, state, record, lines) restored from a directory."""
    lines = Lines()
    store = open_checkpoints(directory, Checkpoints(**kind), read_only=True, say=lines)
    return (*store.restore(shapes_of(make_state()), step), lines)


def array_files(step_directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        p for p in (step_directory / "state").rglob("*") if p.is_file() and p.parent.name == "d"
    )
