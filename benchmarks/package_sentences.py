"""A table of one's own to fine-tune on: sentences of docstrings, and the package that each stands in.

    python -m benchmarks.package_sentences runs/packages

writes `train.csv` and `dev.csv` (columns `sentence` and `package`; 400 and 100 of each package, of other
files each) and `packages.toml`, which poses them as a task. Text is what t2t's own installation carries;
a sentence that names its package is left out.
"""

import argparse
import csv
import pathlib
import re

from t2t.data import sources
from t2t.data.source_config import Docstrings

PACKAGES = {"python": "stdlib", "numpy": "numpy", "scipy": "scipy", "jax": "jax"}
TRAIN, DEV = 400, 100
_SENTENCE = re.compile(r"[A-Z][^.!?]{38,158}[.!?](?=\s|$)")
_TASK = """\
name = "packages"
input = "package: {sentence}"
target = "{package}"
train = "train.csv"
validation = "dev.csv"
choices = ["python", "numpy", "scipy", "jax"]
metrics = ["accuracy", "macro_f1"]
inputs_length = 128
targets_length = 16
"""


def sentences(package: str, module: str) -> tuple[list[str], list[str]]:
    """Returns (TRAIN, DEV) sentences of a package's docstrings; one in five documents is for the latter."""
    found: tuple[dict, dict] = {}, {}
    shards = sources.shards(Docstrings((module,), maximum_bytes=4_000_000))
    texts = [text for shard in shards for text in sources.documents(shard)]
    for number, text in enumerate(texts):
        for sentence in _SENTENCE.findall(" ".join(text.split())):
            if package not in sentence.lower():
                found[number % 5 == 0][sentence] = None
    train, dev = found
    return _spread(list(train), TRAIN), _spread([one for one in dev if one not in train], DEV)


def _spread(every: list[str], count: int) -> list[str]:
    """So many of them, evenly over all."""
    if len(every) < count:
        raise SystemExit(f"only {len(every)} sentences where {count} are wanted")
    return [every[i * len(every) // count] for i in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the three files go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    made = {package: sentences(package, module) for package, module in PACKAGES.items()}
    for number, name in enumerate(("train", "dev")):
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("sentence", "package"))
            # One of each in turn.
            columns = [[(s, package) for s in of[number]] for package, of in made.items()]
            rows.writerows(row for together in zip(*columns, strict=True) for row in together)
    (folder / "packages.toml").write_text(_TASK, encoding="utf-8")
    print(f"{folder}: train.csv, dev.csv and packages.toml, of {', '.join(PACKAGES)}")


if __name__ == "__main__":
    main()
