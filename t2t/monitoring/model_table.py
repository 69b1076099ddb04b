"""`model.txt`: every parameter's name, shape, axes, sharding, count and bytes."""

import jax
import numpy as np


def path_name(path) -> str:
    """Returns a parameter's plain path, `encoder/layers/self_attention/query/kernel`."""
    return "/".join(str(getattr(key, "key", key)) for key in path)


def parameter_count(shapes) -> int:
    """Returns the number of parameters of a tree of arrays or shapes."""
    return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(shapes))


def model_table(shapes, axes, shardings) -> str:
    """Returns the table as text, one parameter a line, totals last."""
    rows = [("name", "shape", "axes", "sharding", "count", "bytes")]
    names = jax.tree.structure(shapes).flatten_up_to(axes)
    total = size = 0
    for (path, array), axis, sharding in zip(
        jax.tree_util.tree_leaves_with_path(shapes), names, jax.tree.leaves(shardings), strict=True
    ):
        count = int(np.prod(array.shape))
        total, size = total + count, size + count * array.dtype.itemsize
        rows.append(
            (
                path_name(path),
                "x".join(map(str, array.shape)),
                ",".join(a or "-" for a in axis),
                str(tuple(sharding.spec)) or "()",
                f"{count:,}",
                f"{count * array.dtype.itemsize:,}",
            )
        )
    rows.append(("total", "", "", "", f"{total:,}", f"{size:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:4], widths[:4], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
        lines.append("  ".join(left + right).rstrip())
    return "\n".join(lines) + "\n"
