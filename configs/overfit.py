"""The quick start's model on one batch, over and over: the loss must go to nearly nothing.

    t2t train --config=overfit

The first thing to run on new hardware, or after a change to a model. Expected: train loss under 0.1.
"""

import dataclasses
import pathlib
import runpy

from t2t.run import Run
from t2t.training.config import Evaluation
from t2t.training.schedule_config import Constant


def get_config(arg: str = "") -> Run:
    """arg: nothing."""
    quickstart = runpy.run_path(str(pathlib.Path(__file__).with_name("quickstart.py")))
    run = quickstart["get_config"](arg)
    return dataclasses.replace(
        run,
        data=dataclasses.replace(run.data, batch_size=8, evaluation=()),
        schedule=Constant(peak=0.02),
        training=dataclasses.replace(run.training, steps=200, repeat_samples=8),
        evaluation=Evaluation(),
    )
