"""Sizes of the mesh axes."""

import dataclasses

from t2t.errors import UserError

AXES = ("replica", "data", "fsdp", "tensor", "context", "expert", "stage")
ROWS = ("replica", "data", "fsdp", "expert")  # those that split the rows of a batch


@dataclasses.dataclass(frozen=True)
class Mesh:
    """Devices along each axis; one axis may be -1: whatever the others leave.

    `replica` copies everything (across slices), `data` splits the batch, `fsdp` splits the batch
    and the parameters, `tensor` splits heads, feed-forward and vocabulary (and the length of norms and
    residuals between them), `context` splits the length of everything but the keys, `expert` splits
    the batch and the experts.
    """

    replica: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    context: int = 1
    expert: int = 1
    stage: int = 1

    def check(self, where: str) -> None:
        sizes = {axis: getattr(self, axis) for axis in AXES}
        for axis, size in sizes.items():
            if size < 1 and size != -1:
                raise UserError(
                    f"{where}.{axis}: must be at least 1, or -1 for the rest; got {size}"
                )
        free = [axis for axis, size in sizes.items() if size == -1]
        if len(free) > 1:
            raise UserError(f"{where}.{free[1]}: only one axis may be -1, and {free[0]} already is")
        if sizes["stage"] != 1:
            raise UserError(f"{where}.stage: no layer is split over it; set it to 1")
