"""A checkpoint written and read leaf by leaf: models larger than this machine's memory.

`CheckpointStore` saves a state that is on devices. Here the parameters come from a file and go to a
file, a block at a time, in Orbax's own layout without OCDBT (one zarr array a leaf), so that what is
written is a step like any other: restored on any mesh, verified by its fingerprints.
"""

import json
import os
from collections.abc import Callable

import numpy as np

from t2t.data.storage import kvstore, storage_errors
from t2t.errors import UserError
from t2t.interop.published import Path, parameter_shapes
from t2t.interop.stored_tensor import Index, StoredTensor, blocks
from t2t.models.architecture import Architecture
from t2t.training.checkpoint_reading import (
    Unsound,
    checksum,
    nested,
    read_manifest,
    steps_in,
    to_stderr,
)
from t2t.training.fingerprints import fingerprint_of_run
from t2t.training.frozen import leaves_of_frozen
from t2t.training.run_parameters import DISCRIMINATOR, has_generator, read_parameters

_BLOCK_BYTES = 1 << 26
_HANDLERS = "orbax.checkpoint._src.handlers"


def write_parameters(
    directory: str,
    leaves: dict[Path, StoredTensor],
    record: dict,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Writes step 0 of the checkpoint directory `directory`: parameters only, typed as they are.

    record: JSON that `restore` hands back. A step that an interruption leaves unfinished has no
    manifest and is never read as whole.
    """
    step = os.path.join(directory, "0")
    os.makedirs(os.path.join(step, "manifest"))
    described = {}
    for path, leaf in leaves.items():
        name = "/".join(("params", *path))
        with storage_errors(step):
            printed = _write_leaf(os.path.join(step, "state", name.replace("/", ".")), leaf)
        described[name] = {"shape": list(leaf.shape), "dtype": leaf.dtype.name}
        described[name]["fingerprint"] = printed
        say(f"{name} {list(leaf.shape)}")
    _write_json(os.path.join(step, "state", "_METADATA"), _tree_metadata(leaves))
    handlers = {
        "state": f"{_HANDLERS}.pytree_checkpoint_handler.PyTreeCheckpointHandler",
        "manifest": f"{_HANDLERS}.json_checkpoint_handler.JsonCheckpointHandler",
    }
    _write_json(os.path.join(step, "_CHECKPOINT_METADATA"), {"item_handlers": handlers})
    content = {"step": 0, "record": record, "metrics": {}, "leaves": described}
    manifest = {"crc32": checksum(content), "content": content}
    _write_json(os.path.join(step, "manifest", "manifest.json"), manifest)


def _write_leaf(path: str, leaf: StoredTensor) -> int:
    """Writes one zarr array, a block a chunk; returns the leaf's fingerprint."""
    import tensorstore as ts

    places = list(blocks(leaf, _BLOCK_BYTES))
    chunk = [i.stop - i.start for i in places[0]] if places else list(leaf.shape)
    array = ts.open(
        {
            "driver": "zarr",
            "kvstore": kvstore(path),
            "metadata": {"compressor": None, "chunks": chunk},
            "store_data_equal_to_fill_value": True,
        },
        create=True,
        dtype=leaf.dtype.name,
        shape=leaf.shape,
    ).result()
    total = 0
    for index in places:
        block = np.ascontiguousarray(leaf.read(index))
        total += fingerprint_of_run(block, _flat_index(index, leaf.shape))
        array[index].write(block).result()
    return total % 2**32


def _flat_index(index: Index, shape: tuple[int, ...]) -> int:
    """Returns the row-major number of a block's first element; blocks are runs of elements."""
    result = 0
    for part, size in zip(index, shape, strict=True):
        result = result * size + part.start
    return result


def _tree_metadata(leaves: dict[Path, StoredTensor]) -> dict:
    """Returns the content of Orbax's _METADATA: the tree of arrays, keys of dicts (type 2)."""
    tree = {}
    for path, leaf in leaves.items():
        keys = ("params", *path)
        tree[str(keys)] = {
            "key_metadata": [{"key": key, "key_type": 2} for key in keys],
            "value_metadata": {
                "value_type": "jax.Array",
                "skip_deserialize": False,
                "write_shape": list(leaf.shape),
            },
        }
    return {
        "tree_metadata": tree,
        "use_ocdbt": False,
        "use_zarr3": False,
        "store_array_data_equal_to_fill_value": True,
        "custom_metadata": None,
    }


def _write_json(path: str, content: dict) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def stored_parameters(
    directory: str, arch: Architecture, step: int | None = None
) -> tuple[int, dict[Path, StoredTensor]]:
    """Returns (step, parameters as views): of the step asked for, or of the newest with a manifest.

    LoRA's adapters are merged; of a generator and a discriminator it is the latter. A leaf is restored whole, and verified, when a part of it is first read; it is kept until
    another is. Raises: UserError where there is no such step, or it holds another model.
    """
    steps = steps_in(directory)
    if not steps or step not in (None, *steps):
        there = ", ".join(map(str, steps)) or "no checkpoint"
        raise UserError(f"{directory}: holds {there}{'' if step is None else f', not step {step}'}")
    step, known = _readable(directory, steps if step is None else [step])
    workdir = os.path.dirname(directory)
    known |= {f"params/{name}": leaf for name, leaf in leaves_of_frozen(workdir).items()}
    within = ("params", DISCRIMINATOR) if has_generator(known) else ("params",)
    kept: dict[Path, np.ndarray] = {}

    def whole(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if path not in kept:
            kept.clear()
            import jax

            place = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
            wanted = {"/".join(path): jax.ShapeDtypeStruct(shape, dtype, sharding=place)}
            _, restored = read_parameters(workdir, step, nested(wanted), to_stderr, whole=False)
            kept[path] = np.asarray(jax.tree.leaves(restored)[0])
        return kept[path]

    def view(path: Path, shape: tuple[int, ...]) -> StoredTensor:
        name = "/".join((*within, *path))
        found = known.get(name)
        if found is None or tuple(found["shape"]) != shape:
            there = "is not there" if found is None else f"has shape {found['shape']}"
            raise UserError(f"{directory}/{step}: {name} {there}; config.json is of another model")
        dtype = np.dtype(found["dtype"])

        def read(index: Index) -> np.ndarray:
            return whole(path, shape, dtype)[index]

        return StoredTensor(shape, dtype, read)

    return step, {path: view(path, shape) for path, shape in parameter_shapes(arch).items()}


def _readable(directory: str, steps: list[int]) -> tuple[int, dict]:
    """Returns the newest step whose manifest can be read, and what it says of its leaves."""
    problem = None
    for step in reversed(steps):
        try:
            return step, read_manifest(directory, step)["leaves"]
        except Unsound as error:
            problem = f"{directory}/{step}: is not sound: {error}"
    raise UserError(str(problem))
