import json
import math
import os

from t2t.monitoring.metrics import METRICS, MetricWriter, read_rows


def test_rows_are_on_disk_as_soon_as_they_are_written(tmp_path):
    writer = MetricWriter(str(tmp_path), after=0, tensorboard=False)
    writer.write(1, "train", {"loss": 2.5})
    assert read_rows(str(tmp_path)) == [{"step": 1, "split": "train", "loss": 2.5}]
    writer.close()


def test_resuming_drops_rows_past_the_restored_step_and_a_torn_line(tmp_path):
    writer = MetricWriter(str(tmp_path), after=0, tensorboard=False)
    for step in (1, 2, 3):
        writer.write(step, "train", {"loss": float(step)})
    writer.close()
    with open(tmp_path / METRICS, "a") as file:
        file.write('{"step": 4, "spl')
    again = MetricWriter(str(tmp_path), after=2, tensorboard=False)
    assert again.has(2, "train") and not again.has(3, "train")
    again.write(3, "train", {"loss": 30.0})
    again.close()
    assert [(r["step"], r["loss"]) for r in read_rows(str(tmp_path))] == [(1, 1), (2, 2), (3, 30)]


def test_non_finite_values_stay_readable_json(tmp_path):
    writer = MetricWriter(str(tmp_path), after=0, tensorboard=False)
    writer.write(1, "train", {"loss": math.nan, "grad_norm": math.inf})
    writer.close()

    def refuse(text):
        raise AssertionError(text)

    row = json.loads((tmp_path / METRICS).read_text(), parse_constant=refuse)
    assert row["loss"] == "nan" and row["grad_norm"] == "inf"


def test_an_object_store_gets_one_part_a_process_start():
    directory = "memory://bucket/run"
    first = MetricWriter(directory, after=0)
    first.write(1, "train", {"loss": 1.0})
    first.write(2, "train", {"loss": 2.0})
    first.close()
    second = MetricWriter(directory, after=1)
    second.write(2, "train", {"loss": 20.0})
    second.close()
    assert [(r["step"], r["loss"]) for r in read_rows(directory)] == [(1, 1), (2, 20)]


def test_tensorboard_events_are_written(tmp_path):
    writer = MetricWriter(str(tmp_path), after=0)
    writer.write(1, "eval/held_out", {"loss": 2.5})
    writer.close()
    files = os.listdir(tmp_path / "tensorboard")
    assert len(files) == 1 and os.path.getsize(tmp_path / "tensorboard" / files[0]) > 0
