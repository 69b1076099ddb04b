"""T5 v1.1 pre-training by size and machine: mesh, batch and remat of one device to a pod.

    t2t plan  --config=t5_1_1_pods:xxl-v5p-4x4x8 --topology=v5p:4x4x8
    t2t train --config=t5_1_1_pods:xxl-v5p-4x4x8 --config.tokenizer.path=DIR/spiece.model \
        '--config.data.train.corpora[0].source.paths=DIR/*.json.gz' \
        '--config.data.evaluation[0].source.paths=DIR/*.json.gz'

The argument is SIZE-KIND-SHAPE, several slices 2xKIND. Everything else is `t5_1_1`'s; compiler flags
are those of the device (t2t/parallel/compiler_flags.py). Expected: the plan says `fits: yes`; what those
planned so far need and send stands in benchmarks/plans.md.

How they were chosen. fsdp: no more than d_model / 128, or a device's columns are not whole tiles and
the TPU compiler pads them, and fills and reduces where it should gather. data: at least 2 beside it, since
where fsdp alone spans a TPU's torus gradients are reduced whole instead of scattered; on GPUs across
hosts; else the rest. tensor: only where those do not reach, since it sends activations at every layer.
remat: all but what products give, which costs nothing in time, else layers whole (a third more). Batch:
T5's 2048 rows where they fit at once, else the largest power of two that does.
"""

import dataclasses
from typing import NamedTuple

from t2t import recipes
from t2t.errors import UserError, nearest
from t2t.parallel.mesh_config import Mesh
from t2t.run import Run


class Layout(NamedTuple):
    data: int
    fsdp: int
    tensor: int
    batch: int
    remat: str
    replica: int = 1


LAYOUTS = {
    "small-v4-2x2x1": Layout(2, 2, 1, 2048, "dots"),
    "base-v4-2x2x1": Layout(2, 2, 1, 512, "dots"),
    "large-v4-2x2x2": Layout(2, 4, 1, 512, "dots"),
    "xl-v4-2x2x4": Layout(2, 8, 1, 512, "dots"),
    "xxl-v4-4x4x4": Layout(1, 32, 2, 1024, "dots"),
    "small-v5e-2x2": Layout(2, 2, 1, 1024, "dots"),
    "base-v5e-2x2": Layout(2, 2, 1, 256, "dots"),
    "large-v5e-4x4": Layout(2, 8, 1, 512, "dots"),
    "xl-v5e-4x4": Layout(2, 8, 1, 256, "dots"),
    "xxl-v5e-16x16": Layout(2, 32, 4, 2048, "dots"),
    "xxl-2xv5e-16x16": Layout(2, 32, 4, 2048, "dots", replica=2),
    "small-v5p-2x2x1": Layout(2, 2, 1, 2048, "dots"),
    "base-v5p-2x2x1": Layout(2, 2, 1, 2048, "dots"),
    "large-v5p-2x2x2": Layout(2, 4, 1, 1024, "dots"),
    "xl-v5p-2x2x4": Layout(2, 8, 1, 1024, "dots"),
    "xxl-v5p-4x4x8": Layout(2, 32, 2, 2048, "dots"),
    "small-v6e-2x2": Layout(2, 2, 1, 2048, "dots"),
    "base-v6e-2x2": Layout(2, 2, 1, 512, "dots"),
    "large-v6e-4x4": Layout(2, 8, 1, 1024, "dots"),
    "xl-v6e-4x4": Layout(2, 8, 1, 512, "dots"),
    "xxl-v6e-8x8": Layout(1, 32, 2, 1024, "dots"),
    "small-tpu7x-2x2x1": Layout(2, 4, 1, 2048, "dots"),
    "base-tpu7x-2x2x1": Layout(4, 2, 1, 2048, "dots"),
    "large-tpu7x-2x2x1": Layout(2, 4, 1, 1024, "dots"),
    "xl-tpu7x-2x2x2": Layout(2, 8, 1, 1024, "dots"),
    "xxl-tpu7x-4x4x4": Layout(2, 32, 2, 2048, "dots"),
    "small-h100-8": Layout(8, 1, 1, 2048, "dots"),
    "base-h100-8": Layout(8, 1, 1, 1024, "dots"),
    "large-h100-8": Layout(1, 8, 1, 512, "dots"),
    "xl-h100-8": Layout(1, 8, 1, 256, "full"),
    "xxl-h100-8": Layout(1, 8, 1, 128, "full"),
    "small-h100-64": Layout(64, 1, 1, 2048, "dots"),
    "base-h100-64": Layout(64, 1, 1, 2048, "dots"),
    "large-h100-64": Layout(8, 8, 1, 2048, "dots"),
    "xl-h100-64": Layout(8, 8, 1, 2048, "full"),
    "xxl-h100-64": Layout(8, 8, 1, 1024, "full"),
}


def get_config(arg: str = "base-v5e-2x2") -> Run:
    """arg: SIZE-KIND-SHAPE, one of LAYOUTS."""
    arg = arg or "base-v5e-2x2"
    if arg not in LAYOUTS:
        raise UserError(
            f"no layout {arg!r}{nearest(arg, LAYOUTS)}; there are: {', '.join(LAYOUTS)}"
        )
    layout = LAYOUTS[arg]
    run = recipes.get_config(f"t5_1_1:{arg.partition('-')[0]}", Run)
    return dataclasses.replace(
        run,
        model=dataclasses.replace(run.model, remat=layout.remat),
        data=dataclasses.replace(run.data, batch_size=layout.batch),
        mesh=Mesh(replica=layout.replica, data=layout.data, fsdp=layout.fsdp, tensor=layout.tensor),
    )
