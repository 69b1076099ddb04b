"""Where figures end up: a table on the screen, and a row of RESULTS.md with date, machine, versions."""

import datetime
import importlib.metadata
import os
import pathlib
import platform

RESULTS = pathlib.Path(__file__).with_name("RESULTS.md")
_HEAD = """# Results

One row a run, appended by the scripts of this folder. Ratios are taken within one run; seconds of
different rows compare only where the machine is the same.

| date | benchmark | machine | versions | figures |
|---|---|---|---|---|
"""


def show(title: str, rows: list[tuple[str, ...]], head: tuple[str, ...]) -> None:
    """Prints rows of text as an aligned table under a title."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}")
    for row in [head, tuple("-" * width for width in widths), *rows]:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def machine() -> str:
    """Returns what the figures were taken on: cores and processor, or the accelerator."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} x {name}"


def versions(*packages: str) -> str:
    """Returns Python's and the packages' versions; those that are not installed are left out."""
    found = [f"python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def append(benchmark: str, where: str, used: str, figures: str, path: pathlib.Path) -> None:
    """Appends one row to the results table, which is begun where there is none."""
    if not path.exists():
        path.write_text(_HEAD, encoding="utf-8")
    date = datetime.date.today().isoformat()
    cells = (text.replace("|", "/") for text in (date, benchmark, where, used, figures))
    with path.open("a", encoding="utf-8") as file:
        file.write(f"| {' | '.join(cells)} |\n")


def add_argument(parser) -> None:
    """Adds `--results FILE`, where the row goes."""
    parser.add_argument(
        "--results", type=pathlib.Path, default=RESULTS, help="the table to append a row to"
    )
