from t2t.monitoring.stragglers import host_row, straggler


def hosts(*seconds: tuple[float, float]) -> dict[int, dict[str, float]]:
    names = ("data_wait_seconds", "host_seconds")
    return {i: dict(zip(names, pair, strict=True)) for i, pair in enumerate(seconds)}


def test_the_slowest_and_the_median():
    told = hosts((0.01, 0.02), (0.01, 0.04), (0.3, 0.1), (0.02, 0.02))
    assert host_row(told) == {
        "slowest_host": 2,
        "slowest_host_seconds": 0.4,
        "median_host_seconds": 0.045,
    }
    assert straggler(told, 0.5) == (
        "host 2 holds up the others: of a step of 0.500 s it waits 0.300 s for data and takes 0.100 s "
        "of its own; the median host 0.045 s in all"
    )


def test_nobody_is_named_where_all_are_alike_or_it_is_nothing():
    assert straggler(hosts((0.1, 0.1), (0.1, 0.12), (0.1, 0.1)), 0.5) is None
    assert straggler(hosts((0.0, 0.001), (0.03, 0.0), (0.0, 0.001)), 0.5) is None, "6 % of a step"
    assert straggler({}, 0.5) is None and host_row({}) == {}
