"""Peak memory and time of `t2t convert` of a whole model, from Hugging Face's form to ours and back.

    python -m benchmarks.convert_memory --size=xxl

Writes a directory with the published names and shapes of a T5 1.1 whose numbers are all zero: holes
in its files, which take no room. What is written from it does, once: 2 bytes a parameter (22 GB of
xxl), until its zeros are made holes too. Memory is the command's own peak (VmHWM), without the page cache.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks import results
from t2t.interop.published import parameter_shapes, theirs_shape
from t2t.interop.t5_kin import config
from t2t.models.architecture import Architecture
from t2t.models.families import t5_1_1

_CONVERT = """
import sys
from t2t.cli import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
sys.exit(code)
"""
_SHARD_BYTES = 10_000_000_000


def write_published(folder: pathlib.Path, arch: Architecture) -> dict[str, int]:
    """Writes a bfloat16 directory of zeros; returns the bytes of every tensor by name."""
    folder.mkdir()
    shapes = parameter_shapes(arch)
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    sizes: dict[str, int] = {}
    for weight in t5_1_1.huggingface_weights(arch):
        ours = shapes[weight.path][weight.layer is not None :]
        sizes[weight.name] = 2 * math.prod(ours)
        if sum(sizes[name] for name in shards[-1]) + sizes[weight.name] > _SHARD_BYTES:
            shards.append({})
        shards[-1][weight.name] = theirs_shape(weight, ours)
    where = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_zeros(folder / name, shard, sizes)
        where |= dict.fromkeys(shard, name)
    index = {"weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config("t5", arch, "bfloat16")))
    tokenizer = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return sizes


def _write_zeros(path: pathlib.Path, shard: dict, sizes: dict[str, int]) -> None:
    header, end = {}, 0
    for name, shape in shard.items():
        begin, end = end, end + sizes[name]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
        if "lm_head.weight" in shard:  # not the table's: a head equal to that is a tied one
            file.seek(8 + len(text) + header["lm_head.weight"]["data_offsets"][0])
            file.write(b"\x80\x3f")


def convert(*arguments) -> tuple[float, float]:
    """Runs `t2t convert`; returns its peak memory in GB and its seconds."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", _CONVERT, "convert", *map(str, arguments)]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(found.stdout.split()[-1]) * 1024 / 1e9, time.perf_counter() - begun


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="xxl", choices=t5_1_1.SIZES, help="of T5 1.1")
    parser.add_argument("--folder", help="where a temporary folder is made")
    results.add_argument(parser)
    options = parser.parse_args(arguments)
    arch = t5_1_1.architecture(options.size)
    leaf = max(2 * math.prod(shape) for shape in parameter_shapes(arch).values())
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = pathlib.Path(made)
        sizes = write_published(folder / "published", arch)
        rows = [("to t2t", *convert(folder / "published", folder / "run", "--to=t2t"))]
        chunks = [str(path) for path in (folder / "run").rglob("*") if path.is_file()]
        for chunk in chunks:
            subprocess.run(["fallocate", "--dig-holes", chunk], check=True)
        rows.append(("back", *convert(folder / "run", folder / "back", "--to=huggingface")))
    shown = [(name, f"{peak:.2f}", f"{seconds:.0f}") for name, peak, seconds in rows]
    what = (
        f"T5 1.1 {options.size}, bfloat16, {sum(sizes.values()) / 1e9:.1f} GB of zeros in {len(sizes)} "
        f"tensors, the largest {max(sizes.values()) / 1e9:.2f} GB, of ours {leaf / 1e9:.2f} GB"
    )
    results.show(what, shown, ("direction", "peak GB", "seconds"))
    figures = "; ".join(f"{name}: peak **{peak} GB**, {s} s" for name, peak, s in shown)
    used = results.versions("jax", "orbax-checkpoint", "tensorstore", "safetensors")
    results.append("convert", results.machine(), used, f"{what}; {figures}", options.results)


if __name__ == "__main__":
    main()
