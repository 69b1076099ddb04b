"""A model's parameters in two parts, the trained and the frozen, and back to one."""

from collections.abc import Callable


def partition(tree: dict, chosen: Callable[[str], bool], prefix: str = "") -> tuple[dict, dict]:
    """Returns (leaves whose name is chosen, the others), each a tree without empty branches.

    Works on any nested dict of parameters' facts: arrays, shapes, axes.
    """
    parts: tuple[dict, dict] = {}, {}
    for key, node in tree.items():
        name = f"{prefix}{key}"
        if isinstance(node, dict):
            for part, branch in zip(parts, partition(node, chosen, f"{name}/"), strict=True):
                if branch:
                    part[key] = branch
        else:
            parts[0 if chosen(name) else 1][key] = node
    return parts


TEACHER = "teacher"  # the branch of what is frozen that is another network's


def own(frozen: dict) -> dict:
    """Returns the frozen parameters of the trained network, without its teacher's."""
    return {name: part for name, part in frozen.items() if name != TEACHER}


def join(first: dict, second: dict) -> dict:
    """Returns one tree of both; where both have a leaf it is the second's."""
    joined = dict(first)
    for key, node in second.items():
        deeper = isinstance(node, dict) and key in first
        joined[key] = join(first[key], node) if deeper else node
    return joined
