"""Which examples a host decodes, where several work on one evaluation."""

from typing import NamedTuple


class Share(NamedTuple):
    """Host `index` (from 0) of `hosts`."""

    index: int
    hosts: int

    def of(self, examples: int) -> range:
        """The indices of its examples among `examples`: every one is some host's, and only its.

        They are taken in turn, so that no host has more than one example above another's, and a
        set sorted by length is still an equal share of work.
        """
        return range(self.index, examples, self.hosts)


WHOLE = Share(0, 1)
