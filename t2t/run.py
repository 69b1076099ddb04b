"""A Run: the typed configuration of everything, loaded, overridden, cross-checked and saved.

This is the only module that sees every room's configuration; each room checks its own part, and
what holds between rooms is checked here, before any device is touched.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import sys
import traceback

import fsspec

from t2t import schema
from t2t.data.config import Data
from t2t.data.tokenizer_config import Tokenizer
from t2t.errors import Failure, UserError, nearest
from t2t.models.architecture import Architecture
from t2t.objectives.config import Objective
from t2t.parallel.mesh_config import Mesh
from t2t.training.checkpoint_config import Checkpoints
from t2t.training.config import Evaluation, Monitoring, Training
from t2t.training.optimizer_config import Optimizer
from t2t.training.schedule_config import Schedule

CONFIG = "config.json"
# What may differ between a run and its resumption. Nothing here changes what a parameter means or
# which sample has which number.
RESUMABLE = (
    r"training\.(steps|bad_steps|watchdog_seconds|accumulation|deterministic)",
    r"evaluation\..*",
    r"monitoring\..*",
    r"checkpoints\..*",
    r"mesh\..*",
    r"model\.(layers|remat)",
    r"data\.(batch_size|batch_ramp|evaluation_batch_size|read_ahead|workers|cache_dir)(\[.*)?",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that defines a training run."""

    model: Architecture
    tokenizer: Tokenizer
    data: Data
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    mesh: Mesh = Mesh()
    monitoring: Monitoring = Monitoring()


def check(run: Run) -> None:
    """Checks types, each room's ranges, and what must hold between rooms.

    Raises: UserError, one line, naming the key.
    """
    schema.check_types(run, Run, "config")
    for field in dataclasses.fields(run):
        getattr(run, field.name).check(f"config.{field.name}")
    batch, parts = run.data.batch_size, run.training.accumulation
    for size in (batch, *(size for _, size in run.data.batch_ramp)):
        if size % parts:
            raise UserError(
                f"config.training.accumulation: {parts} does not divide the batch of "
                f"{size} rows (config.data.batch_size)"
            )
        rows = _rows_of_mesh(run.mesh)
        if (size // parts) % rows:
            raise UserError(
                f"config.data.batch_size: {size // parts} rows a microbatch do not divide over "
                f"replica*data*fsdp = {rows} (config.mesh)"
            )
    if run.monitoring.profile[0] > run.training.steps:
        raise UserError(
            f"config.monitoring.profile: starts at step {run.monitoring.profile[0]}, "
            f"after the last step {run.training.steps}"
        )
    for unit, count in (("heads", run.model.heads),):
        if run.mesh.tensor > 0 and count % run.mesh.tensor:
            raise UserError(
                f"config.mesh.tensor: {run.mesh.tensor} does not divide the model's "
                f"{count} {unit} (config.model.{unit})"
            )


def _rows_of_mesh(mesh: Mesh) -> int:
    """Returns how many parts the batch is split in, as far as known before devices are counted."""
    parts = 1
    for size in (mesh.replica, mesh.data, mesh.fsdp):
        parts *= size if size > 0 else 1
    return parts


def check_vocabulary(run: Run, vocabulary) -> None:
    """Checks the loaded vocabulary against the model's embedding table and the objective.

    Raises: UserError naming both sizes, or that the objective needs more sentinels than there are.
    """
    from t2t.objectives.span_corruption import check_vocabulary as check_objective

    if vocabulary.size > run.model.vocab_size:
        raise UserError(
            f"config.model.vocab_size: {run.model.vocab_size} rows are too few for the vocabulary of "
            f"{vocabulary.size} (config.tokenizer); use at least {-(-vocabulary.size // 128) * 128}"
        )
    check_objective(run.objective, vocabulary)


# ------------------------------------------------------------------------------------- loading


def config_folder() -> pathlib.Path:
    """Returns the folder of the shipped recipes: inside the wheel, or beside the source tree."""
    package = pathlib.Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find_config(name: str) -> pathlib.Path:
    """Returns the file of a recipe given by path or by name (`t5_1_1`).

    Raises: UserError with the nearest name when there is none.
    """
    path = pathlib.Path(name)
    if path.is_file():
        return path
    shipped = {p.stem: p for p in sorted(config_folder().glob("*.py"))}
    if name in shipped:
        return shipped[name]
    if path.name != name or path.suffix:
        folder = path.parent
        beside = [p.name for p in folder.glob("*.py")] if folder.is_dir() else []
        raise UserError(f"--config={name}: there is no such file{nearest(path.name, beside)}")
    raise UserError(
        f"--config={name}: neither a file nor a shipped recipe"
        f"{nearest(name, shipped)}; recipes: {', '.join(shipped)}"
    )


def load(spec: str, overrides: list[tuple[str, str]] = ()) -> Run:
    """Loads `NAME[:ARG]`, applies overrides in order, and checks the result.

    spec: a recipe's path or name, and the argument of its `get_config(arg)` after a colon.
    overrides: (field path, text) pairs. Raises: UserError, one line.
    """
    name, _, argument = spec.partition(":")
    path = find_config(name)
    run = _call_get_config(path, argument)
    for key, text in overrides:
        run = schema.override(run, key, text)
    check(run)
    return run


def _call_get_config(path: pathlib.Path, argument: str) -> Run:
    spec = importlib.util.spec_from_file_location(f"t2t_config_{path.stem}", path)
    if spec is None:
        raise UserError(f"{path}: a config is a Python file (.py) with get_config(arg)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise UserError(f"{path}: has no function get_config(arg)")
        run = module.get_config(argument)
    except UserError:
        raise
    except Exception as error:  # the config is the user's program: name its line, not ours
        raise UserError(f"{_last_line_in(path, error)}: {type(error).__name__}: {error}") from None
    if not isinstance(run, Run):
        raise UserError(f"{path}: get_config returned {type(run).__name__}, not a t2t.run.Run")
    return run


def _last_line_in(path: pathlib.Path, error: Exception) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{frames[-1].lineno}" if frames else str(path)


# -------------------------------------------------------------------------- the saved copy, resume


def save(run: Run, workdir: str, versions: dict[str, str]) -> None:
    """Writes the resolved configuration and the versions that ran it to `config.json`, atomically."""
    text = json.dumps({"config": schema.to_json(run), "versions": versions}, indent=1) + "\n"
    target = f"{workdir}/{CONFIG}"
    if "://" in workdir:
        with fsspec.open(target, "wt", encoding="utf-8") as file:
            file.write(text)
        return
    os.makedirs(workdir, exist_ok=True)
    with open(target + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(target + ".new", target)


def load_saved(workdir: str) -> Run | None:
    """Returns the configuration saved in a run directory, or None where there is none.

    Raises: UserError when the file is not one of ours.
    """
    target = f"{workdir}/{CONFIG}"
    try:
        with fsspec.open(target, "rt", encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"{target}: {error}") from None
    try:
        data = json.loads(text)["config"]
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{target}: not a saved run configuration; give another --workdir or remove the file"
        ) from None
    return schema.from_json(data, Run, "config")


def check_resume(saved: Run, new: Run, workdir: str) -> None:
    """Refuses to go on with a run whose new configuration differs in what cannot change.

    Raises: UserError that shows every such difference on one line.
    """
    allowed = re.compile("config\\.(" + "|".join(RESUMABLE) + ")$")
    refused = {
        path: values
        for path, values in schema.difference(saved, new).items()
        if not allowed.match(path)
    }
    if refused:
        shown = "; ".join(f"{p}: {a!r} -> {b!r}" for p, (a, b) in list(refused.items())[:6])
        more = f"; and {len(refused) - 6} more" if len(refused) > 6 else ""
        raise UserError(
            f"{workdir} holds a run with another configuration ({shown}{more}); "
            "undo the change, or give another --workdir"
        )


def open_directory(run: Run, workdir: str) -> dict:
    """Makes a run directory this run's own: refuses another run's, saves the configuration.

    Returns what every checkpoint records of it.
    """
    saved = load_saved(workdir)
    if saved is not None:
        check_resume(saved, run, workdir)
    save(run, workdir, versions())
    return {"config": schema.to_json(run), "versions": versions()}


def versions() -> dict[str, str]:
    """Returns the versions of Python and of every library that a result can depend on."""
    from importlib import metadata

    names = (
        "t2t",
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "orbax-checkpoint",
        "grain",
        "numpy",
        "sentencepiece",
        "tensorstore",
    )
    found = {"python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
