"""Reading checkpoints: the newest sound step, any mesh, any dtype, any subset of the arrays.

On disk a step is `STEP/state` (Orbax arrays, a plain nested dict by leaf name) and
`STEP/manifest/manifest.json`: the caller's record, the metrics, and shape, dtype and fingerprint of
every leaf, under a checksum of their own. What the manifest says is believed; the arrays are
believed where their fingerprints agree with it.
"""

import json
import logging
import os
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from t2t.errors import Failure, UserError, nearest
from t2t.training.fingerprints import differing, fingerprints
from t2t.training.leaf_names import named_leaves


def _quiet_orbax() -> None:
    """Keeps tracebacks of failures that are reported here, in one line, from stderr.

    Orbax logs them; and where one of its reads or writes fails it abandons the others, each of
    which Python would print as an exception that nobody took.
    """
    logging.getLogger("absl").addFilter(lambda record: "orbax" not in record.pathname)
    logging.getLogger("asyncio").addFilter(
        lambda record: "exception was never retrieved" not in record.getMessage()
    )
    previous = sys.unraisablehook

    def hook(found) -> None:
        code = getattr(found.object, "cr_code", None)  # of a coroutine
        if str(found.exc_value) != "Event loop is closed" and not (
            code and "orbax" in code.co_filename
        ):
            previous(found)

    sys.unraisablehook = hook


_quiet_orbax()


class Unsound(Exception):
    """A checkpoint cannot be trusted; the message says which leaf or file, and why, in one line."""


def to_stderr(line: str) -> None:
    """Prints a line to stderr, from the first process only."""
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)


def as_path(directory: str | os.PathLike) -> epath.Path:
    """Returns a local path made absolute, or an object-store address as it is."""
    text = os.fspath(directory)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def one_line(error: BaseException) -> str:
    """Returns an error's message as one line: where it is long, its two ends (what, and why)."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:140]} ... {text[-155:]}"


def steps_in(directory: str | os.PathLike) -> list[int]:
    """Returns the finished steps in ascending order; half-written ones are not among them."""
    path = as_path(directory)
    return sorted(ocp.utils.checkpoint_steps(path)) if path.exists() else []


def saved_steps(
    directory: str | os.PathLike, wanted: Sequence[int] = (), asked: str = ""
) -> list[int]:
    """As `steps_in`. Raises: UserError where there is none, or not all that are wanted; asked: what
    wanted them, which the line begins with."""
    saved = steps_in(directory)
    if not saved:
        raise UserError(f"{directory}: no checkpoint was finished there")
    for step in wanted:
        if step not in saved:
            raise UserError(
                f"{asked}{directory}: has no step {step}; it has {', '.join(map(str, saved))}"
            )
    return saved


def checksum(content: Any) -> int:
    """Returns the CRC-32 of what `content` is after a round trip through JSON."""
    return zlib.crc32(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode())


def read_manifest(directory: str | os.PathLike, step: int) -> dict:
    """Returns a step's manifest. Raises: Unsound where it is missing, broken or of another step."""
    path = as_path(directory) / str(step) / "manifest" / "manifest.json"
    try:
        stored = json.loads(path.read_text())
        content, crc = stored["content"], stored["crc32"]
    except OSError as error:
        raise Unsound(f"manifest.json: cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Unsound(f"manifest.json: is damaged: {one_line(error)}") from error
    if checksum(content) != crc:
        raise Unsound("manifest.json: is damaged: its checksum does not fit")
    if content["step"] != step:
        raise Unsound(f"manifest.json: was written for step {content['step']}")
    return content


def is_key(x: Any) -> bool:
    """Whether an array (or its shape) holds PRNG keys."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def nested(named: dict[str, Any]) -> dict:
    """Returns {'a/b': x} as {'a': {'b': x}}."""
    result: dict = {}
    for name, value in named.items():
        *parts, last = name.split("/")
        node = result
        for part in parts:
            node = node.setdefault(part, {})
        node[last] = value
    return result


def _why(error: BaseException, names: dict[str, Any]) -> str:
    """Returns what Orbax could not read, and why, in one line."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    reason = re.split(
        r"[.:]? (?:See full TensorStore|\[tensorstore_spec|\[source loc)",
        " ".join(str(root).split()),
    )[0]
    if isinstance(root, json.JSONDecodeError):
        return f"state/_METADATA: is damaged: {reason}"
    dotted = {name.replace("/", "."): name for name in names}
    for found in re.findall(r"[\w.]+(?=/)", f"{error} {root}"):
        if found in dotted:
            return f"{dotted[found]}: its data cannot be read: {one_line(Exception(reason))}"
    return f"state: cannot be read: {one_line(Exception(reason))}"


def _as_stored(wanted: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Returns the shape of what stands on disk for `wanted`: keys are stored as their words."""
    sharding = wanted.sharding or jax.sharding.SingleDeviceSharding(jax.devices()[0])
    if is_key(wanted):
        wanted = jax.eval_shape(jax.random.key_data, wanted)
    return jax.ShapeDtypeStruct(wanted.shape, wanted.dtype, sharding=sharding)


def _as_wanted(x: jax.Array, wanted: jax.ShapeDtypeStruct) -> jax.Array:
    if is_key(wanted):
        found: list = []
        jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), wanted)
        return jax.random.wrap_key_data(x, impl=found[0])
    return x if x.dtype == wanted.dtype else x.astype(wanted.dtype)


def _agreed(problem: str | None) -> str | None:
    """Returns a problem that any process has, so that all of them go on or fall back together."""
    if jax.process_count() == 1:
        return problem
    from jax.experimental import multihost_utils

    bad = multihost_utils.process_allgather(np.asarray(problem is not None))
    return problem or (f"process {int(np.argmax(bad))} could not read it" if bad.any() else None)


def _check_names(where: str, manifest: dict, wanted: dict, within: str | None) -> None:
    """Checks that what is wanted is there, and nothing else whose name begins with `within`."""
    leaves = manifest["leaves"]
    problems = []
    for name, leaf in wanted.items():
        if name not in leaves:
            problems.append(f"has no {name}{nearest(name, leaves)}")
        elif tuple(leaves[name]["shape"]) != tuple(leaf.shape):
            problems.append(
                f"{name} has shape {tuple(leaves[name]['shape'])} there and "
                f"{tuple(leaf.shape)} in this run"
            )
    if within is not None:
        problems += [
            f"holds {name}, which this run has not"
            for name in sorted(set(leaves) - set(wanted))
            if name.startswith(within)
        ]
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise UserError(
            f"{where}: {'; '.join(problems[:8])}{more}; "
            "the model or optimizer is not the one that was saved"
        )


def _read(
    directory, step: int, abstract: Any, verify: bool, within: str | None
) -> tuple[Any, dict]:
    """Returns (arrays like `abstract`, manifest). Raises: Unsound, UserError."""
    where = f"{directory}/{step}"
    problem = manifest = None
    try:
        manifest = read_manifest(directory, step)
    except Unsound as error:
        problem = str(error)
    if problem := _agreed(problem):
        raise Unsound(problem)
    wanted = named_leaves(abstract)
    stored = {name: _as_stored(leaf) for name, leaf in wanted.items()}
    _check_names(where, manifest, stored, within)
    leaves = manifest["leaves"]
    stored = {
        name: jax.ShapeDtypeStruct(x.shape, jnp.dtype(leaves[name]["dtype"]), sharding=x.sharding)
        for name, x in stored.items()
    }
    problem, arrays = None, {}
    try:
        item = nested(stored)
        arrays = named_leaves(
            ocp.PyTreeCheckpointer().restore(
                as_path(directory) / str(step) / "state",
                args=ocp.args.PyTreeRestore(
                    item=item,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(item),
                    partial_restore=True,
                ),
            )
        )
        missing = sorted(set(stored) - set(arrays))
        problem = f"{missing[0]}: is missing" if missing else None
    except Exception as error:  # whatever damage makes of the files, and of the libraries
        problem = _why(error, stored)
    if problem := _agreed(problem):
        raise Unsound(problem)
    if verify:
        known = {name: leaves[name].get("fingerprint") for name in stored}
        if None in known.values():
            to_stderr(
                f"{where}: was saved without fingerprints (checkpoints.verify=False); "
                "it is used unverified"
            )
        else:
            bad = sorted(differing(known, fingerprints(arrays)))
            if bad:
                raise Unsound(
                    f"{bad[0]}: its data is damaged (fingerprint differs)"
                    f"{f'; so are {len(bad) - 1} more' if len(bad) > 1 else ''}"
                )
    result = []
    for name, leaf in wanted.items():  # leaf by leaf, so that two copies never stand side by side
        result.append(_as_wanted(arrays.pop(name), leaf))
    return jax.tree.unflatten(jax.tree.structure(abstract), result), manifest


def read_newest(
    directory,
    abstract: Any,
    step: int | None = None,
    *,
    verify: bool = True,
    within: str | None = "",
    say: Callable[[str], None] = to_stderr,
) -> tuple[int, Any, dict, list[int]]:
    """Returns (step, state, record, unsound steps passed over).

    abstract: a tree of ShapeDtypeStructs with shardings (without one: the first device). Arrays are
    restored as they were stored, verified, and then cast leaf by leaf to the dtypes asked for.
    step None falls back from unsound steps to the newest sound one, with a line for each.
    within: of the names that begin so, the step must hold none that `abstract` has not (None: it
    may hold anything more).
    Raises: UserError where the step does not exist, or holds other names or shapes than asked for;
    Failure where no step is sound.
    """
    directory = os.fspath(directory)
    available = steps_in(directory) if step is None else saved_steps(directory, [step])
    if not available:
        raise Failure(f"{directory}: no checkpoint was finished there")
    unsound = []
    for candidate in reversed(available) if step is None else [step]:
        try:
            state, manifest = _read(directory, candidate, abstract, verify, within)
            return candidate, state, manifest["record"], unsound
        except Unsound as error:
            if step is not None:
                raise Failure(f"{directory}/{step}: is not sound: {error}") from error
            say(f"{directory}/{candidate}: is not sound, trying the step before it: {error}")
            unsound.append(candidate)
    raise Failure(
        f"{directory}: no sound checkpoint: "
        f"{', '.join(map(str, unsound))} are all damaged; nothing was changed"
    )


def restore_parameters(
    directory, step: int | None, abstract_params: Any, verify: bool = True
) -> Any:
    """Returns only the parameters (or a part of them) of a step; None: the newest sound one.

    abstract_params: like `state["params"]` or a subtree of it from the root, ShapeDtypeStructs with
    shardings. Raises: as `read_newest`.
    """
    return read_newest(directory, {"params": abstract_params}, step, verify=verify, within=None)[1][
        "params"
    ]
