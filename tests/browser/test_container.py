"""The Dockerfile: built and run where Docker works, else its steps in a fresh environment."""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import urllib.request
import venv
from pathlib import Path

import pytest

from tests.test_public import dockerfile

from .conftest import ROOT, free_port, opened, wait_until_healthy
from .player import PLAYER, TOTAL, open_player, state, wait_for


def docker_works():
    command = shutil.which("docker")
    return command and not subprocess.run([command, "info"], capture_output=True).returncode


def left_out(folder, names):
    """What `.dockerignore` names, except what it takes back."""
    patterns = (ROOT / ".dockerignore").read_text().split()
    everywhere = [p.removeprefix("**/") for p in patterns if p.startswith("**/")]
    here = patterns if Path(folder) == ROOT else everywhere
    return shutil.ignore_patterns(*here, *everywhere)(folder, names)


def words(step):
    """The command of a step, which is written as a list."""
    text = dict(dockerfile())[step]
    return json.loads(text[text.index("[") :])


def reachable(address):
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
        return True


@contextlib.contextmanager
def in_docker(port):
    """Build the image and run it as the README says."""
    lines = (ROOT / "README.md").read_text().splitlines()
    (run,) = [line for line in lines if line.startswith("docker run ")]
    build = shlex.split("docker build --quiet --tag pixelcnn-test .")
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    command = run.replace("-v pixelcnn:/data", "--rm --name pixelcnn-test -v /data")
    command = command.replace("8501:8501 pixelcnn", f"127.0.0.1:{port}:8501 pixelcnn-test")
    process = subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL)
    try:
        yield process, [*shlex.split("docker exec pixelcnn-test"), *words("HEALTHCHECK")], None
    finally:
        subprocess.run(["docker", "stop", "pixelcnn-test"], capture_output=True)
        process.wait(30)
        subprocess.run(["docker", "image", "rm", "pixelcnn-test"], capture_output=True)


@contextlib.contextmanager
def in_a_fresh_environment(port, folder):
    """Do what the Dockerfile says in `folder`; the user and its folders are those of the test."""
    steps = dockerfile()
    app = folder / "app"
    shutil.copytree(ROOT, app, ignore=left_out)
    shutil.copytree(ROOT / ".streamlit", app / ".streamlit")
    venv.create(folder / "venv", with_pip=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for pair in shlex.split(dict(steps)["ENV"]):
        name, _, value = pair.partition("=")
        environment[name] = re.sub("^/(data|tmp)", str(folder), value)
    environment["PATH"] = f"{folder / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    for word, rest in steps:
        if word == "RUN" and "useradd" not in rest:
            index = re.search(r" --index-url (\S+)", rest)
            if index and not reachable(index[1]):  # then torch is the one of the usual index
                rest = rest.replace(index[0], "")
            done = subprocess.run(rest, shell=True, cwd=app, env=environment, capture_output=True)
            assert not done.returncode, done.stderr.decode()
    command, check = (
        [part.replace("8501", str(port)) for part in words(step)]
        for step in ("CMD", "HEALTHCHECK")
    )
    command = [shutil.which(command[0], path=environment["PATH"]), *command[1:]]
    process = subprocess.Popen(command, cwd=app, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process, check, environment
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder / "venv")  # pytest would keep its gigabytes


@pytest.mark.skipif(
    not os.environ.get("PIXELCNN_REQUIRE_BROWSER") and not reachable("https://pypi.org/simple/"),
    reason="installs what the Dockerfile says: needs the network",
)
@pytest.mark.skipif(os.name != "posix", reason="runs the shell of the Dockerfile")
def test_the_container_is_healthy_draws_and_lets_nobody_train(browser, tmp_path):
    port = free_port()
    begun = in_docker(port) if docker_works() else in_a_fresh_environment(port, tmp_path)
    with begun as (process, check, environment):
        address = f"http://127.0.0.1:{port}"
        assert subprocess.run(check, env=environment, capture_output=True).returncode  # not yet
        wait_until_healthy(address, process)
        subprocess.run(check, env=environment, check=True)
        with opened(browser, 1280, 900) as page:
            open_player(page, address, "speed=full")
            wait_for(page, f"p.have === {TOTAL}")
            assert state(page)["total"] == TOTAL and page.locator(PLAYER).is_visible()
            page.goto(f"{address}/train")
            page.get_by_text("This is a public copy").wait_for()
