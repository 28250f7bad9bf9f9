"""A third architecture, of one file, goes through everything without a change outside of it."""

import inspect

import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn import class_posterior, complete, load_model, occlusion, sample
from pixelcnn.commands.main import main
from pixelcnn.models import FullPass
from pixelcnn.ui.train import gallery

from . import causal_average
from .commands import working_folder
from .made_up_data import write_mnist_like

NAME = "run:mine"
PAGES = {
    "app.py": [{}],
    "pages/complete.py": [{}],
    "pages/masks.py": [
        {"section": section}
        for section in ("Masks", "Why A then B", "Receptive field", "Prove it", "Build your own")
    ]
    + [{"step": step} for step in range(1, 8)],
    "pages/measure.py": [
        {"view": view}
        for view in ("Score a picture", "Paradox", "Same dice", "Temperatures", "Calibration")
    ],
    "pages/train.py": [{"tab": "New run"}, {"tab": "Runs", "run": "mine"}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the third architecture, started, stopped and resumed from the command line."""
    with pytest.MonkeyPatch.context() as patch:
        folder = working_folder(tmp_path_factory.mktemp("open"), patch)
        write_mnist_like(folder / "data", "MNIST")
        patch.setattr(gallery, "draw", lambda *_: iter([]))
        command = "train mine --architecture average --num-features 5 --total-images 20"
        settings = "--batch-size 5 --validation-images 4 --evaluate-every 10 --no-bfloat16"
        assert main(f"{command} {settings}".split()) == 0
        assert main(["train", "mine", "--resume", "--total-images", "30"]) == 0
        yield load_model(NAME)


def test_it_is_at_most_60_lines():
    assert len(inspect.getsource(causal_average).splitlines()) <= 60


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"check {NAME}", "derivatives are exactly 0"),
        (f"sample {NAME} --num-images 2 --label 3 --output two.png", "2 pictures"),
        (f"evaluate {NAME} --split test", "bits/dim"),
        (f"measure calibration {NAME} --num-images 4 --output numbers.json", "promised"),
        ("estimate --architecture average --num-features 5", "parameters"),
    ],
)
def test_every_command_takes_it(trained, capsys, monkeypatch, command, words):
    monkeypatch.setattr("pixelcnn.training.estimate.WARM_UP_SECONDS", 0)
    assert main(command.split()) == 0
    assert words in capsys.readouterr().out


def test_it_draws_and_completes_by_its_default_stepper(trained):
    assert type(trained.stepper(trained.condition(1))) is FullPass
    levels = sample(trained, num_images=2, seed=1, label=3)
    assert torch.equal(levels, sample(trained, num_images=2, seed=1, label=3, method="naive"))
    for left, method in (("upper-half", "prefix"), ("lower-half", "clamping")):
        known = occlusion(left, 28, 28)
        completion = complete(trained, levels[:1], known, method=method, num_images=2, label=3)
        assert (completion.levels == levels[:1])[..., known[0, 0]].all()
    posterior = class_posterior(trained, levels[:1], occlusion("upper-half", 28, 28))
    assert posterior.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("page", "query"), [(page, query) for page, queries in PAGES.items() for query in queries]
)
def test_every_page_opens_with_it(trained, page, query):
    app = AppTest.from_file("../app.py", default_timeout=120)
    if page != "app.py":
        app.switch_page(page)
    for name, value in {"model": NAME, **query}.items():
        app.query_params[name] = str(value)
    app.run()
    assert not app.exception, app.exception
    if page != "pages/train.py" and query.get("view") != "Same dice":
        key = "complete_model" if page == "pages/complete.py" else "model"
        assert app.session_state[key] == NAME
