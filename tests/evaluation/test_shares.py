"""Examples split over hosts: every one on one host, none twice, back together in order."""

import pytest

from t2t.evaluation.shares import WHOLE, Share


@pytest.mark.parametrize("hosts", [1, 2, 3, 4])
@pytest.mark.parametrize("examples", [0, 1, 3, 4, 37])
def test_every_example_is_on_one_host(hosts, examples):
    shares = [list(Share(index, hosts).of(examples)) for index in range(hosts)]
    together = sorted(index for share in shares for index in share)
    assert together == list(range(examples))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert all(share == sorted(share) for share in shares)


def test_one_host_has_them_all():
    assert list(WHOLE.of(5)) == [0, 1, 2, 3, 4]
