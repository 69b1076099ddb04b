"""The image that the launchers run: the Dockerfile against the checkout."""

import pathlib
import shlex
import tomllib

REPOSITORY = pathlib.Path(__file__).parent.parent.parent


def test_the_dockerfile_copies_what_is_there_and_installs_extras_that_exist():
    lines = (REPOSITORY / "launch" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENTRYPOINT"}
    assert {step for step, _ in steps} == known
    for step, rest in steps:
        if step == "COPY":
            *sources, _ = shlex.split(rest)
            assert all((REPOSITORY / source).exists() for source in sources), rest
    arguments = dict(rest.split("=") for step, rest in steps if step == "ARG" and "=" in rest)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(arguments["EXTRAS"].split(",")) <= set(project["optional-dependencies"])
    assert (REPOSITORY / "constraints" / f"python{arguments['PYTHON']}.txt").exists()
    sent = (REPOSITORY / "launch" / "Dockerfile.dockerignore").read_text().splitlines()
    copies = [rest.split()[:-1] for step, rest in steps if step == "COPY"]
    assert {line[1:] for line in sent if line[0] == "!"} == {s for part in copies for s in part}
    # What the build needs of the checkout is what is copied into the image.
    copied = " ".join(rest for step, rest in steps if step == "COPY")
    assert all(name in copied for name in (project["readme"], *project["license-files"], "configs"))


def test_a_job_on_gpus_says_that_its_image_is_not_the_default_one():
    """Nothing else tells: an image of the default extras begins on a GPU and computes on the CPU."""
    job = (REPOSITORY / "launch" / "kubernetes.toml").read_text()
    assert "--build-arg EXTRAS=cuda" in job and "h100" in job
    readme = (REPOSITORY / "README.md").read_text()
    assert "--build-arg EXTRAS=cuda" in readme
