"""One thread for torch: the models are tiny, and other processes want the cores."""

import importlib
import pkgutil
import urllib.request
from dataclasses import replace
from functools import cache
from urllib.error import URLError

import pytest
import torch
from streamlit.components.v2 import manifest_scanner

import pixelcnn
from pixelcnn.inspection.receptive_field import predictions_changed
from pixelcnn.storage import CHECKPOINT_DIR, list_checkpoints, read_info, save_checkpoint

from .made_up_data import write_mnist_like
from .tiny import tiny_model
from .train_page import Estimating

torch.set_num_threads(1)
SCAN = "scan_component_manifests"


@pytest.fixture(autouse=True, scope="session")
def runs_of_tests(tmp_path_factory):
    """Keep tests away from the runs of the person who starts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELCNN_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(autouse=True, scope="session")
def packages_are_scanned_once():
    """Streamlit reads the metadata of all packages for every page under test: 0.2 s each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, SCAN, cache(getattr(manifest_scanner, SCAN)))
        yield


@pytest.fixture(autouse=True)
def nothing_is_drawn_ahead(request, monkeypatch):
    """The Masks page draws in the background what may be asked for next; few tests ask."""
    if "draws_ahead" not in request.keywords:
        monkeypatch.setattr("pixelcnn.ui.masks.ahead.draw_ahead", lambda *_: None)


@pytest.fixture(autouse=True)
def nothing_is_estimated(monkeypatch):
    """The form of the Train page trains in a process of its own, for seconds."""
    monkeypatch.setattr("pixelcnn.ui.train.form.iter_estimate", Estimating())


@pytest.fixture(autouse=True)
def few_predictions_are_tried(monkeypatch):
    """The pages try all predictions of a model in the background, which takes half a minute."""
    monkeypatch.setattr(
        "pixelcnn.ui.shared.resources.predictions_changed",
        lambda model, positions: predictions_changed(
            model, positions[:: max(1, len(positions) // 8)]
        ),
    )


@pytest.fixture(scope="session")
def folder_of_tiny_checkpoints(tmp_path_factory):
    """Models of random weights under the names of the shipped ones."""
    for module in pkgutil.walk_packages(pixelcnn.__path__, "pixelcnn."):
        if not module.name.endswith("__main__"):  # some keep the folder's name: the true one
            importlib.import_module(module.name)
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, path in list_checkpoints().items():
        info = read_info(path)
        kept = ("architecture", "num_orders", "num_classes", "num_levels", "height", "width")
        shape = {field: getattr(info.config, field) for field in kept}
        model = tiny_model(**shape, dilations=(1,), dtype=torch.float32)
        save_checkpoint(folder / f"{name}.safetensors", model, replace(info, config=model.config))
    for name in ("fashion-mnist-gated-stages", "price"):
        (folder / name).symlink_to(CHECKPOINT_DIR / name)
    return folder


@pytest.fixture
def tiny_checkpoints(folder_of_tiny_checkpoints, monkeypatch):
    """Let the shipped models be tiny: for what holds whatever a model has learned."""
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", folder_of_tiny_checkpoints)


@pytest.fixture
def no_network(monkeypatch):
    """Let every download fail at once, as it does without a network."""

    def fail(*_, **__):
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", fail)


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Let there be no data set."""
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "absent"))


@pytest.fixture
def made_up_data(tmp_path, monkeypatch):
    """Let there be made-up clothes and digits, 30 test pictures each."""
    for name in ("FashionMNIST", "MNIST"):
        write_mnist_like(tmp_path / "data", name, test=30)
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
