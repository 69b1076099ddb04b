"""Which steps are captured is asked of the profiler by slow tests of whole runs; here, what it says."""

from t2t.monitoring.profiler import Profile


def test_steps_that_are_done_already_are_not_captured_in_silence(tmp_path):
    said: list[str] = []
    for steps, done in (((10, 12), 12), ((10, 12), 11), ((10, 12), 0), ((0, 0), 500)):
        with Profile(steps, str(tmp_path), said.append, done):
            pass
    assert (
        len(said) == 1 and "steps 10 to 12: nothing is captured, since step 12 is done" in said[0]
    )
