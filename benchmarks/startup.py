"""Seconds from a command to its first training step, with a cold and with a warm cache.

    python -m benchmarks.startup

Runs the real `t2t train --config=quickstart` twice in an empty cache folder, each time in a new run
directory, up to its first step. Cold includes training the vocabulary, building the token store and
compiling; warm finds all three. Also `import t2t` and `t2t --help`.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import results

_FIRST = "first step done"


def command_seconds(command: list[str], times: int) -> float:
    """Returns the median wall time of a command over `times` runs, after one that does not count."""
    taken = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[1:])


def first_step_seconds(train: list[str], cache: str, workdir: str) -> float:
    """Starts a training run, waits for its first step, and ends it."""
    environment = {**os.environ, "T2T_CACHE": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*train, f"--workdir={workdir}", "--config.evaluation.examples=0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if _FIRST in line:
            seconds = time.perf_counter() - begun
            process.terminate()
            process.communicate()
            return seconds
    raise SystemExit(f"t2t train ended with {process.wait()} before a step:\n{''.join(said)}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="quickstart", help="any recipe")
    parser.add_argument("--times", type=int, default=5, help="runs of the short commands")
    results.add_argument(parser)
    options, overrides = parser.parse_known_args(arguments)
    t2t = str(pathlib.Path(sys.executable).with_name("t2t"))
    train = [t2t, "train", f"--config={options.config}", *overrides]
    figures = {
        "python": command_seconds([sys.executable, "-c", "pass"], options.times),
        "import t2t": command_seconds([sys.executable, "-c", "import t2t"], options.times),
        "t2t --help": command_seconds([t2t, "--help"], options.times),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            figures[f"{name} first step"] = first_step_seconds(
                train, f"{folder}/cache", f"{folder}/{name}"
            )
    rows = [(name, f"{seconds:.2f}") for name, seconds in figures.items()]
    results.show(f"start of --config={options.config}", rows, ("what", "seconds"))
    text = f"{options.config}: " + ", ".join(f"{name} {value} s" for name, value in rows)
    used = results.versions("jax", "flax")
    results.append("startup", results.machine(), used, text, options.results)


if __name__ == "__main__":
    main()
