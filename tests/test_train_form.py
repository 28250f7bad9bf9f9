"""The form of the Train page as Streamlit runs it, without a browser; data are made up."""

import errno
import os
import re
import subprocess
import threading

import pytest
import torch
from PIL import Image

from pixelcnn import load_model
from pixelcnn.commands.train import command_line, new_config
from pixelcnn.data.own_images import SourceImage
from pixelcnn.models import build_model
from pixelcnn.training import launch, runs
from pixelcnn.training.devices import available_devices
from pixelcnn.training.runs import About, Status, create_run, list_runs
from pixelcnn.training.state import load_training_state
from pixelcnn.ui.train import form, own_data
from pixelcnn.ui.train.estimate import iter_estimate

from .outside import as_read
from .tiny_runs import MODEL, TRAIN, ForkedCommand, wait_for
from .train_page import (
    bmp,
    by_label,
    checked,
    finished_run,
    open_page,
    pressed,
    set_to,
    squares,
    texts,
    train_folder,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    yield from train_folder(tmp_path, monkeypatch)


def add_a_folder(path):
    """Open the form where a folder of pictures is to become a data set."""
    page = open_page("New run")
    set_to(page, page.selectbox, "Data set", "add")
    set_to(page, page.segmented_control, "Where are the images?", "Folder")
    return set_to(page, page.text_input, "Folder", str(path))


def make_the_data_set(page):
    pressed(page, label="Make the data set")
    wait_for(lambda: "Cancel" not in [b.label for b in checked(page.run()).button])


def test_the_form_begins_with_settings_that_work_and_says_what_they_take(folder):
    page = open_page("New run")
    text = texts(page)
    found = re.search(r"\*\*([\d,]+) parameters\*\*, 16,000 images to see", text)
    (wanted,) = form.iter_estimate.configs
    assert int(found[1].replace(",", "")) == build_model(wanted.model).num_parameters
    assert "about **2 min 5 s**: 48.0 images/s (cpu, float32), and 700 MiB" in text
    assert wanted.model.num_classes == 10 and wanted.train.dataset == "fashion-mnist"
    assert not page.error and not page.warning
    page.segmented_control(key="preset").set_value("One minute")
    checked(page.run())
    assert "5,000 images to see" in texts(page)


def test_a_run_is_started_watched_stopped_resumed_renamed_and_deleted(folder, monkeypatch):
    monkeypatch.setattr(form, "DOUBLE_CLICK_SECONDS", 600)  # however slow this machine is
    monkeypatch.setattr(subprocess, "Popen", ForkedCommand)
    page = open_page("New run", preset="My own")
    page.slider[0].set_value(12)
    by_label(page.slider, "Blocks").set_value(1)
    checked(page.run())
    # Typed just before the click: both count.
    by_label(page.number_input, "Images to see in all").set_value(1_000_000)
    by_label(page.text_input, "Name").set_value("My *first* run")
    pressed(page, label="Start")
    (run,) = list_runs()
    # A double click: the second one is worked on although the first has started the run.
    page.session_state["start_asked"], page.session_state["tab"] = True, "New run"
    checked(page.run())
    (run,) = list_runs()
    assert run.config().train.total_images == 1_000_000
    assert run.about().name == "My *first* run" and run.status().is_active
    assert page.query_params["run"] in (run.id, [run.id])
    wait_for(lambda: run.status().images_seen > 0)
    page = open_page("Runs")
    assert ":blue-badge[training]" in texts(page) and "images/s" in page.get("progress")[0].text
    assert page.button(key="resume").disabled
    pressed(page, key="stop")
    status = launch.wait_until_over(run)
    page = open_page("Runs", run=run.id)
    assert ":gray-badge[stopped]" in texts(page) and page.button(key="stop").disabled
    assert f"{status.images_seen:,} of 1,000,000 images" in page.get("progress")[0].text
    pressed(page, key="resume")
    assert run.status().is_active
    wait_for(lambda: run.status().images_seen > status.images_seen)
    launch.stop(run)
    assert launch.wait_until_over(run).images_seen > status.images_seen
    page = open_page("Runs", run=run.id)
    by_label(page.text_input, "Name").set_value("Second name")
    by_label(page.text_area, "Note").set_value("twelve features")
    pressed(page, key="describe")
    assert run.about() == About(name="Second name", note="twelve features")
    assert "> twelve features" in texts(page)
    pressed(page, key="delete")
    assert list_runs() == [] and "There is no run yet" in texts(page)


def test_a_run_can_begin_with_the_weights_of_a_shipped_model(folder, monkeypatch):
    monkeypatch.setattr(launch, "start", lambda run, **_: None)
    for preset in ("One minute", "My own"):
        page = open_page("New run", preset=preset)
        set_to(page, page.selectbox, "Begin with", "fashion-mnist-classic")
        pressed(page, label="Start")
        run = list_runs()[0]
        model, config = load_model("fashion-mnist-classic"), run.config()
        assert config.model == model.config and "--init-from" in command_line(config, "again")
        state, train = load_training_state(run.state_path)
        assert train == config.train and state.images_seen == 0
        for name, weight in model.named_parameters():
            assert torch.equal(state.model.get_parameter(name), weight), name
        assert config.origin == ("--init-from", "fashion-mnist-classic")


def test_own_images_from_a_folder_become_a_data_set(folder):
    source = folder.parent / "pictures"
    for number in range(12):
        path = source / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (20 * number, 0, 99)).save(path)
    (source / "broken.png").write_bytes(b"no")
    page = add_a_folder(source)
    by_label(page.text_input, "Name").set_value("Cats & dogs")
    by_label(page.selectbox, "Size").set_value(16)
    by_label(page.segmented_control, "Colour").set_value("RGB")
    checked(page.run())
    make_the_data_set(page)
    assert "2 classes, 16 x 16 RGB" in texts(page)
    assert "Files that could not be used: 1" in texts(page)
    assert "broken.png: is no picture that can be read" in texts(page)
    (path,) = (folder / "images").glob("Cats-dogs-16px-rgb-*.images.safetensors")
    assert str(path) in page.code[-1].value
    wanted = form.iter_estimate.configs[-1]
    assert wanted.model.head_features % 3 == 0


def test_making_a_data_set_goes_on_beside_the_page_and_can_be_cancelled(folder, monkeypatch):
    gate = threading.Event()

    def slow(path):
        for number in range(9):
            gate.wait()
            yield SourceImage(f"{number}.bmp", bmp(number))

    monkeypatch.setattr(own_data, "read_folder", slow)
    monkeypatch.setattr(own_data, "bytes_in", lambda _: 1)
    page = add_a_folder("there")
    for cancelled in (True, False):
        pressed(page, label="Make the data set")
        assert page.get("progress")[0].text.startswith("Reading the pictures")
        if cancelled:
            assert "Cancelled" in texts(pressed(page, label="Cancel"))
    gate.set()
    wait_for(lambda: "28 x 28 grey" in texts(checked(page.run())))
    assert len(list((folder / "images").iterdir())) == 1, "none of the cancelled one"


def test_settings_stay_while_runs_are_looked_at(folder):
    page = open_page("New run", preset="My own")
    set_to(page, page.selectbox, "Data set", "mnist")
    page.slider(key="train-num_features").set_value(36)
    page.select_slider(key="train-num_levels").set_value(4)
    page.selectbox(key="train-only_class").set_value("3")
    page.number_input(key="train-total_images").set_value(777)
    page.segmented_control(key="tab").set_value("Runs")  # at once, as a quick hand does
    assert "There is no run yet" in texts(checked(page.run()))
    checked(page.run())
    page.segmented_control(key="tab").set_value("New run")
    checked(page.run())
    for wanted in ("36 features", "4 levels", "no classes", "777 images to see"):
        assert wanted in texts(page)
    assert "--dataset mnist/3" in page.code[-1].value
    assert page.selectbox(key="train-device").options == ["auto", *available_devices()]


def test_a_folder_without_pictures_is_refused_in_plain_words(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, said in (("absent", "is not a folder"), ("empty", "0 usable images are too few")):
        page = add_a_folder(tmp_path / name)
        make_the_data_set(page)
        assert said in page.error[0].value


def test_a_view_that_does_not_exist_is_the_first_one(folder):
    assert "**Data**" in texts(open_page("absent"))


def test_runs_that_cannot_be_kept_are_refused_before_they_are_started(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    page = open_page("New run")
    assert "Name another folder with the environment variable PIXELCNN_RUNS" in as_read(
        page.error[0].value
    )
    assert "start" not in [b.key for b in page.button]


def test_a_full_disk_is_said_where_the_run_was_to_start(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    page = open_page("New run")
    monkeypatch.setattr(runs, "write_atomically", full)
    pressed(page, label="Start")
    assert "was not started. [Errno 28] No space left on device" in as_read(page.error[0].value)
    assert list_runs() == []


def test_own_images_can_be_deleted(folder):
    path = squares(folder)
    create_run(new_config(MODEL, TRAIN | {"dataset": str(path)}))
    page = open_page("New run")
    set_to(page, page.selectbox, "Data set", str(path))
    assert "8 x 8 grey" in texts(page) and "learn from it (1) can then not go on" in texts(page)
    pressed(page, key="delete_data")
    assert not path.exists() and by_label(page.selectbox, "Data set").value == "fashion-mnist"


def test_damaged_data_are_called_damaged(folder, tmp_path):
    (labels,) = tmp_path.glob("data/FashionMNIST/raw/train-labels-idx1-ubyte")
    labels.write_bytes(b"no")
    page = open_page("New run")
    assert "Fashion-MNIST" in page.error[0].value and "is damaged" in page.error[0].value
    assert "not on this computer yet" not in texts(page)


def test_an_estimate_that_cannot_start_is_said(folder, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(form, "iter_estimate", iter_estimate)
    monkeypatch.setattr(subprocess, "Popen", refused)
    page = open_page("New run")
    assert "Resource temporarily unavailable" in page.error[0].value
    assert "Try again" in [b.label for b in page.button]
    assert "start" in [b.key for b in page.button]


def test_an_estimate_beside_a_run_is_another_one(folder):
    finished = finished_run(folder)
    page = open_page("New run")
    assert "this is more than it takes alone" not in texts(page)
    with finished.hold():
        finished.write_status(Status(state="training", images_seen=50))
        assert "this is more than it takes alone" in texts(checked(page.run()))
    assert len(form.iter_estimate.configs) == 2


def test_a_data_set_that_is_not_here_yet_is_announced_as_a_download(folder):
    page = open_page("New run", preset="My own")
    set_to(page, page.selectbox, "Data set", "cifar10")
    assert "32 x 32 RGB" in texts(page) and not page.error
    assert "CIFAR-10 is not on this computer yet" in texts(page)
