"""Jobs that the tests submit."""

from t2t.launch import job as jobs

TRAIN = ("train", "--config=t5_1_1:xxl", "--workdir=gs://bucket/run")


def job(where, command=TRAIN, **more) -> jobs.Job:
    found = jobs.Job("t5", command, where, **more)
    found.check()
    return found


def gke(**more) -> jobs.Gke:
    return jobs.Gke(**{"topology": "v5e:4x4", "image": "t2t", **more})


def tpu(**more) -> jobs.TpuVm:
    fixed = {"project": "p", "zone": "us-west4-a", "install": "t2t[tpu,gcs]"}
    return jobs.TpuVm(**{"topology": "v5e:4x4", **fixed, **more})
