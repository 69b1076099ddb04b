"""Two hosts, one of which has another vocabulary, library or program: named before anything is trained."""

import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
import sentencepiece

from t2t.launch.local import _two_free_ports
from tests.training.test_several_hosts import T2T, Run

pytestmark = pytest.mark.slow

# In t2t's place on one host.
OTHER = """
import sys
what = sys.argv.pop(1)
from t2t import cli, versions
if what == "version":
    found = versions.versions
    versions.versions = lambda: {**found(), "jaxlib": "0.0.1"}
else:
    from t2t.training.compilation import CompiledSteps
    make = CompiledSteps._make_train
    def other(self, batch):
        train = self._programs.train
        import jax
        class Programs:
            def __getattr__(_, name):
                return getattr(programs, name)
            train = jax.jit(lambda state, batch: train(state, {**batch, "weights": batch["weights"] * 2}))
        programs, self._programs = self._programs, Programs()
        return make(self, batch)
    CompiledSteps._make_train = other
sys.exit(cli.main())
"""


def differing(run: Run, *places: tuple[pathlib.Path, list[str]]) -> list[str]:
    """Runs a host in each folder, by each command; returns the last line of each, all refused."""
    port = _two_free_ports()
    options = [f"--coordinator=127.0.0.1:{port}", f"--processes={len(places)}"]
    started = [
        subprocess.Popen(
            [*command, *run.train, *options, f"--process-id={i}"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=run.environment(1),
        )
        for i, (folder, command) in enumerate(places)
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [2] * len(places), said
    assert not (run.workdir / "checkpoints").exists() or not os.listdir(run.workdir / "checkpoints")
    return [text.splitlines()[-1] for text in said]


def test_another_vocabulary_of_the_same_name(tmp_path):
    run = Run(
        tmp_path / "run",
        "--config.tokenizer=SentencePiece('own.model')",
        "--config.model.vocab_size=384",
    )
    text = (run.folder / "text.txt").read_text()
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, part in zip(folders, (text[:30_000], text[30_000:]), strict=True):
        folder.mkdir()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(part.split("\n")),
            model_prefix=str(folder / "own"),
            vocab_size=280,
            minloglevel=2,
            **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        )
    for line in differing(run, *((folder, T2T) for folder in folders)):
        assert re.fullmatch(
            r"t2t: host 1 of 2 \(.*\) differs from the others: tokenizer is \w+ there and \w+ on the "
            r"others.*",
            line,
        ), line


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("version", r"version of jaxlib is 0\.0\.1 there and [\d.]+ on the others"),
        ("program", r"program is \w+ there and \w+ on the others"),
    ],
)
def test_another_library_or_program(tmp_path, what, said):
    run, script = Run(tmp_path / "run"), tmp_path / "other.py"
    script.write_text(OTHER)
    begun = time.monotonic()
    for line in differing(run, (tmp_path, T2T), (tmp_path, [sys.executable, str(script), what])):
        assert re.fullmatch(rf"t2t: host 1 of 2 \(.*\) differs from the others: {said}", line), line
    print(f"\nanother {what}: all ended {time.monotonic() - begun:.1f} s after the start")
