"""kill -9 at ten moments, then the same command again: the end is that of a run never killed."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.tiny import write_text

pytestmark = pytest.mark.slow

RECIPE = pathlib.Path(__file__).parent.parent / "tiny.py"
STEPS = 40
DEVICES = {"one device": 1, "eight devices": 8}
MESH = ["--config.mesh.data=2", "--config.mesh.fsdp=2", "--config.mesh.tensor=2"]


class Command:
    """`t2t train` of the tiny run, in a process group of its own."""

    def __init__(self, folder: pathlib.Path, devices: int, *more: str):
        self.folder, self.workdir = folder, folder / "run"
        self._command = [str(pathlib.Path(sys.executable).with_name("t2t")), "train"]
        self._command += [f"--config={RECIPE}:{folder / 'text.txt'}", f"--workdir={self.workdir}"]
        self._command += [f"--config.training.steps={STEPS}", "--config.checkpoints.every_steps=3"]
        self._command += ["--config.evaluation.every_steps=10", *(MESH if devices > 1 else [])]
        self._command += more
        flags = f"--xla_force_host_platform_device_count={devices}"
        self._environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=self._environment,
        )

    def finish(self) -> None:
        process = self.start()
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said

    def kill_when(self, moment, delay: float = 0.0) -> bool:
        """Starts the command and kills its group as soon as `moment()`; returns whether in time."""
        process = self.start()
        try:
            while not (hit := moment()) and process.poll() is None:
                time.sleep(0.001)
            time.sleep(delay)
            in_time = hit and process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            _, said = process.communicate()
        assert in_time or process.returncode in (0, -signal.SIGKILL), said
        return in_time

    # ------------------------------------------------------------------------------ moments

    def preparing(self) -> bool:
        return any(self.folder.glob("cache/stores/*/staging/*"))

    def saving(self) -> bool:
        return any(self.workdir.glob("checkpoints/*orbax-checkpoint-tmp*"))

    def after_step(self, step: int):
        def reached() -> bool:
            return any(row["step"] >= step for row in self.rows() if row["split"] == "train")

        return reached

    # ------------------------------------------------------------------------------ results

    def rows(self) -> list[dict]:
        try:
            text = (self.workdir / "metrics.jsonl").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def hashes(self) -> dict[str, str]:
        return hashes(self.workdir, STEPS)


def hashes(workdir: pathlib.Path, step: int) -> dict[str, str]:
    """SHA-256 over a checkpoint's parameters, and over its optimizer state."""
    reader, path = ocp.PyTreeCheckpointer(), workdir / "checkpoints" / str(step) / "state"
    # Whole, and not on the devices that it was saved from, which may have been several hosts'.
    whole = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray), reader.metadata(path).item_metadata.tree
    )
    state = reader.restore(path, restore_args=whole)
    found = {}
    for part in ("params", "opt_state"):
        digest = hashlib.sha256()
        for leaf in ocp.tree.to_flat_dict(state[part]).values():
            digest.update(np.asarray(leaf).tobytes())
        found[part] = digest.hexdigest()
    return found


@pytest.mark.parametrize("name", DEVICES)
def test_ten_kills_end_where_an_undisturbed_run_does(tmp_path, name):
    commands = {}
    for kind in ("undisturbed", "killed"):
        folder = tmp_path / kind
        folder.mkdir()
        write_text(folder, 700_000)
        commands[kind] = Command(folder, DEVICES[name])
    undisturbed, killed = commands["undisturbed"], commands["killed"]
    undisturbed.finish()

    chance = random.Random(7)
    hits = {"prepare": 0, "save": 0, "anywhere": 0}
    for _ in range(2):
        hits["prepare"] += killed.kill_when(killed.preparing, chance.uniform(0, 0.02))
    for step in sorted(chance.sample(range(1, STEPS - 12), 5)):
        hits["anywhere"] += killed.kill_when(killed.after_step(step), chance.uniform(0, 0.05))
    for _ in range(3):
        hits["save"] += killed.kill_when(killed.saving, chance.uniform(0, 0.01))
    assert hits == {"prepare": 2, "save": 3, "anywhere": 5}
    killed.finish()

    print(f"\n{name}: {killed.hashes()}")
    assert killed.hashes() == undisturbed.hashes()
    places = [(row["step"], row["split"]) for row in killed.rows()]
    assert len(places) == len(set(places)), "no metric row twice"
    wanted = {(row["step"], row["split"]): row["loss"] for row in undisturbed.rows()}
    assert {(row["step"], row["split"]): row["loss"] for row in killed.rows()} == wanted


@pytest.mark.parametrize("name", DEVICES)
def test_kills_of_a_fine_tuning_end_where_an_undisturbed_one_does(tmp_path, name):
    """LoRA from another run, killed before its first checkpoint, while saving and between."""
    base = tmp_path / "base"
    base.mkdir()
    write_text(base, 100_000)
    pretrained = Command(base, DEVICES[name], "--config.training.steps=4")
    pretrained.finish()
    commands = {}
    for kind in ("undisturbed", "killed"):
        folder = tmp_path / kind
        folder.mkdir()
        write_text(folder, 100_000)
        commands[kind] = Command(
            folder,
            DEVICES[name],
            f"--config.initial=FromRun({str(pretrained.workdir)!r})",
            *("--config.training.lora=LoRA(rank=2,dropout=0.1)", "--config.optimizer=AdamW"),
            "--config.training.layer_decay=0.9",
        )
    undisturbed, killed = commands["undisturbed"], commands["killed"]
    undisturbed.finish()
    frozen = killed.workdir / "frozen"
    hits = [killed.kill_when(lambda: any(frozen.glob("*orbax-checkpoint-tmp*")))]
    hits.append(killed.kill_when(killed.saving))
    hits.append(killed.kill_when(killed.after_step(8), 0.02))
    hits.append(killed.kill_when(killed.saving, 0.005))
    assert all(hits)
    killed.finish()
    assert killed.hashes() == undisturbed.hashes()
    wanted = {(row["step"], row["split"]): row["loss"] for row in undisturbed.rows()}
    assert {(row["step"], row["split"]): row["loss"] for row in killed.rows()} == wanted
