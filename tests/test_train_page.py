"""The Train page as Streamlit runs it, without a browser; runs are real, on made-up data."""

import errno
import io
import os
import re
import shlex
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from pixelcnn.checkpoints import load_checkpoint, runs_dir
from pixelcnn.models import build_model
from pixelcnn.own_images import SourceImage, make_image_set, save_image_set
from pixelcnn.pictures import pictures
from pixelcnn.sampling import sample
from pixelcnn.training import launch, runs
from pixelcnn.training.command import new_config
from pixelcnn.training.devices import available_devices
from pixelcnn.training.estimate import Estimate
from pixelcnn.training.runs import RunError, Status, create_run, list_runs
from pixelcnn.training.worker import train_run
from pixelcnn.ui.layout import PAGES
from pixelcnn.ui.train import form, gallery, own_data, words
from pixelcnn.ui.train.sheets import Request
from pixelcnn.ui.train.transfer import imported_path

from .made_up_data import write_mnist_like
from .test_runs import MODEL, TRAIN, config, wait_for

TIMEOUT = 120


class Measured:
    """A measurement that is over at once."""

    is_over, problem, started = True, None, float("inf")
    result = Estimate(1, 125.0, 48.0, 700 * 2**20, "cpu, float32")

    def __init__(self, config):
        self.config = config


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_mnist_like(tmp_path / "data")
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(form, "Measurement", Measured)
    form._some_pictures.clear()
    yield tmp_path / "runs"
    for run in list_runs(tmp_path / "runs"):
        if run.status().is_active:
            launch.end_by_force(run)


def open_page(tab, **query):
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.switch_page("pages/train.py")
    for name, value in {"tab": tab, **query}.items():
        page.query_params[name] = value
    return checked(page.run())


def checked(page):
    assert not page.exception, page.exception
    return page


def texts(page):
    shown = [*page.markdown, *page.caption, *page.info, *page.error, *page.warning, *page.success]
    return "\n".join(element.value for element in shown)


def by_label(elements, label):
    return next(element for element in elements if element.label == label)


def button(page, label):
    return by_label(page.button, label)


def make_the_data_set(page):
    button(page, "Make the data set").click()
    checked(page.run())
    wait_for(lambda: "Cancel" not in [b.label for b in checked(page.run()).button])


@pytest.fixture
def finished(folder):
    """A finished run of 20 updates with stages."""
    run = create_run(config(total_images=100, stages=(25, 50)), folder / "tiny", name="Tiny *one*")
    train_run(run, run.config())
    return run


def test_the_form_begins_with_settings_that_work_and_says_what_they_take(folder):
    page = open_page("New run")
    text = texts(page)
    found = re.search(r"\*\*([\d,]+) parameters\*\*, 16,000 images to see", text)
    chosen = page.session_state["measurements"]
    wanted = next(iter(chosen.values())).config
    assert int(found[1].replace(",", "")) == build_model(wanted.model).num_parameters
    assert "about **2 min 5 s**: 48.0 images/s (cpu, float32), and 700 MiB" in text
    assert wanted.model.num_classes == 10 and wanted.train.dataset == "fashion-mnist"
    assert not page.error and not page.warning
    page.segmented_control(key="preset").set_value("One minute")
    checked(page.run())
    assert "5,000 images to see" in texts(page)


def test_one_class_of_a_data_set_can_be_chosen(folder):
    page = open_page("New run")
    by_label(page.selectbox, "Classes").set_value("Bag")
    checked(page.run())
    assert "no classes, 28 x 28 grey" in texts(page)
    assert "--dataset fashion-mnist/8" in page.code[-1].value


def test_a_run_is_started_watched_stopped_resumed_renamed_and_deleted(folder):
    page = open_page("New run", preset="My own")
    page.slider[0].set_value(12)
    by_label(page.slider, "Blocks").set_value(1)
    checked(page.run())
    # Typed just before the click: both count.
    by_label(page.number_input, "Images to see in all").set_value(1_000_000)
    by_label(page.text_input, "Name").set_value("My *first* run")
    button(page, "Start").click()
    checked(page.run())
    (run,) = list_runs()
    assert run.config().train.total_images == 1_000_000
    assert run.about()["name"] == "My *first* run" and run.status().is_active
    assert page.query_params["run"] in (run.id, [run.id])
    wait_for(lambda: run.status().images_seen > 0)
    page = open_page("Runs")
    assert ":blue-badge[training]" in texts(page) and "images/s" in page.get("progress")[0].text
    assert page.button(key="resume").disabled
    page.button(key="stop").click()
    checked(page.run())
    status = launch.wait_until_over(run)
    page = open_page("Runs", run=run.id)
    assert ":gray-badge[stopped]" in texts(page) and page.button(key="stop").disabled
    assert f"{status.images_seen:,} of 1,000,000 images" in page.get("progress")[0].text
    page.button(key="resume").click()
    checked(page.run())
    assert run.status().is_active
    wait_for(lambda: run.status().images_seen > status.images_seen)
    launch.stop(run)
    assert launch.wait_until_over(run).images_seen > status.images_seen
    page = open_page("Runs", run=run.id)
    by_label(page.text_input, "Name").set_value("Second name")
    by_label(page.text_area, "Note").set_value("twelve features")
    page.button(key="describe").click()
    checked(page.run())
    assert run.about() == {"name": "Second name", "note": "twelve features"}
    assert "> twelve features" in texts(page)
    page.button(key="delete").click()
    checked(page.run())
    assert list_runs() == [] and "There is no run yet" in texts(page)


def test_a_finished_run_shows_its_curve_pictures_and_what_to_do_with_it(finished):
    page = open_page("Runs")
    text = texts(page)
    assert "Tiny \\*one\\* :green-badge[finished]" in text
    assert page.button(key="stop").disabled and page.button(key="resume").disabled
    (chart, *_) = page.get("plotly_chart")
    for text in ("uniform guess 2.00", "PNG files", "validation"):
        assert text in chart.proto.spec
    links = [link.proto for link in page.get("page_link")]
    opened = [link.query_string for link in links if "run" in link.query_string]
    assert opened == ["model=run%3Atiny"] * (len(PAGES) - 1), "on every page but this"
    assert not [e for e in page.error]
    command = page.code[-1].value
    assert shlex.split(command)[:5] == ["python", "-m", "pixelcnn", "train", "NAME"]
    assert "--total-images 100" in command and "--num-levels 4" in command
    (slider, *_) = page.select_slider
    assert slider.options == ["25 images", "50 images", "newest"]


def test_only_pages_that_work_with_colour_are_offered_for_a_run_in_colour(folder):
    squares = [SourceImage(f"{n}.bmp", bmp(n)) for n in range(8)]
    path = folder / "images" / "squares.images.safetensors"
    save_image_set(path, make_image_set(squares, size=8, colour=True))
    model = MODEL | {"num_features": 6, "head_features": 6}
    made = new_config(model, TRAIN | {"dataset": str(path), "total_images": 10})
    run = create_run(made, folder / "colour")
    train_run(run, run.config())
    page = open_page("Runs")
    offered = [link.proto for link in page.get("page_link") if "run" in link.proto.query_string]
    assert [link.label for link in offered] == ["Masks", "Measure"]
    for name in ("masks", "measure"):
        page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
        page.switch_page(f"pages/{name}.py")
        page.query_params["model"] = "run:colour"
        assert checked(page.run()).selectbox(key="model").value == "run:colour"


def test_the_best_checkpoint_of_a_run_opens_on_every_page(finished):
    page = open_page("Runs")
    page.segmented_control(key="use_which").set_value("Best")
    checked(page.run())
    links = [link.proto.query_string for link in page.get("page_link")]
    assert links.count("model=run%3Atiny%40best") == len(PAGES) - 1
    for name in ("complete", "masks", "measure"):
        page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
        page.switch_page(f"pages/{name}.py")
        page.query_params["model"] = "run:tiny@best"
        assert checked(page.run()).selectbox(key="model").value == "run:tiny@best"
        assert not page.error


def test_the_slider_draws_the_same_noise_at_another_stage(finished):
    page = open_page("Runs")

    def shown(images):
        captions = str([image.proto for image in checked(page.run()).get("image")])
        return f"After {images} images, seed 0, temperature 1" in captions

    wait_for(lambda: shown(100))
    (stages,) = [s for s in page.select_slider if s.label == "Checkpoint"]
    stages.set_value(25)
    wait_for(lambda: shown(25))
    for path in (finished.stages()[25], finished.checkpoint):
        sheet = gallery.sheets().get(Request.of(path, gallery.PICTURES))
        model, _ = load_checkpoint(path)
        label = torch.arange(gallery.PICTURES) % 10
        levels = sample(model, num_images=gallery.PICTURES, seed=0, label=label)
        for drawn, wanted in zip(sheet.pictures, pictures(levels, 4), strict=True):
            assert np.array_equal(drawn, wanted)


def test_pictures_of_a_stage_are_drawn_in_the_background(finished):
    page = open_page("Runs")
    for number in range(100):
        if page.get("image"):
            break
        checked(page.run())
        assert number < 99
    assert "After 100 images, seed 0, temperature 1" in str(page.get("image")[0].proto)


def test_a_crashed_run_is_shown_as_crashed_with_its_log(folder, finished):
    with finished.hold():
        finished.write_status(Status(state="training", pid=1, images_seen=50))
    finished.log_path.write_text("some line\nKilled")
    page = open_page("Runs", run="tiny")
    assert ":red-badge[crashed]" in texts(page) and "Resume goes on" in page.error[0].value
    assert "Killed" in page.code[0].value
    assert not page.button(key="resume").disabled
    assert ":blue-badge[training]" not in texts(page)


def test_a_fault_of_a_run_is_said_on_its_card(folder):
    run = create_run(config(), folder / "full")
    run.write_status(Status(state="failed", message="The disk is full. Free some space."))
    assert "The disk is full" in open_page("Runs").error[0].value


def test_a_damaged_run_is_named_and_can_be_deleted(folder):
    run = create_run(config(), folder / "bad")
    (run.path / "config.json").write_text("{")
    page = open_page("Runs")
    assert "bad: its config.json cannot be read" in page.error[0].value
    page.button(key="delete").click()
    checked(page.run())
    assert list_runs() == []


def test_a_link_to_a_run_that_is_gone_says_so(finished):
    page = open_page("Runs", run="../tiny")
    assert "There is no run '../tiny' here" in page.warning[0].value
    assert "finished" in texts(page)


def test_runs_are_compared_by_what_differs(folder, finished):
    other = create_run(
        config(total_images=100, learning_rate=0.001), folder / "slow", name="Tiny *one*"
    )
    train_run(other, other.config())
    page = open_page("Compare")
    table = next(m.value for m in page.markdown if m.value.startswith("|"))
    # Two runs of one name are told apart; the newest comes first.
    assert table.splitlines()[0] == "|  | Tiny \\*one\\* (2) | Tiny \\*one\\* |"
    wanted = "| learning\\_rate | :orange-background[0.001] | :orange-background[0.008] |"
    assert wanted in table and "| stages | " in table and "batch" not in table
    spec = page.get("plotly_chart")[0].proto.spec
    assert spec.count("lines+markers") == 2
    by_label(page.toggle, "Also the settings in which they agree").set_value(True)
    checked(page.run())
    table = next(m.value for m in page.markdown if m.value.startswith("|"))
    assert "| batch\\_size | 5 | 5 |" in table


def test_compared_runs_show_pictures_under_common_noise(folder, finished):
    twin = create_run(finished.config(), folder / "twin", name="Twin")
    twin.checkpoint.write_bytes(finished.checkpoint.read_bytes())
    page = open_page("Compare")
    wait_for(lambda: len(checked(page.run()).get("image")) == 2)
    assert "##### The same noise, each run's newest checkpoint" in texts(page)
    first, second = (image.proto.imgs[0].url for image in page.get("image"))
    assert first == second, "the same weights and the same noise give the same pictures"


def test_comparing_needs_two_runs(folder, finished):
    assert "Two runs are needed" in texts(open_page("Compare"))


def test_own_images_from_a_folder_become_a_data_set(folder):
    source = folder.parent / "pictures"
    for number in range(12):
        path = source / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (20 * number, 0, 99)).save(path)
    (source / "broken.png").write_bytes(b"no")
    page = open_page("New run")
    by_label(page.selectbox, "Data set").set_value("add")
    checked(page.run())
    by_label(page.segmented_control, "Where are the images?").set_value("Folder")
    checked(page.run())
    by_label(page.text_input, "Folder").set_value(str(source))
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
    wanted = list(page.session_state["measurements"].values())[-1].config
    assert wanted.model.head_features % 3 == 0


def test_making_a_data_set_goes_on_beside_the_page_and_can_be_cancelled(folder, monkeypatch):
    gate = threading.Event()

    def slow(path):
        for number in range(9):
            gate.wait()
            yield SourceImage(f"{number}.bmp", bmp(number))

    monkeypatch.setattr(own_data, "read_folder", slow)
    page = open_page("New run")
    by_label(page.selectbox, "Data set").set_value("add")
    checked(page.run())
    by_label(page.segmented_control, "Where are the images?").set_value("Folder")
    checked(page.run())
    by_label(page.text_input, "Folder").set_value("there")
    checked(page.run())
    for action in ("Cancel", None):
        button(page, "Make the data set").click()
        checked(page.run())
        assert page.get("progress")[0].text.startswith("Reading the pictures")
        if action:
            button(page, action).click()
            assert "Cancelled" in texts(checked(page.run()))
    gate.set()
    wait_for(lambda: "28 x 28 grey" in texts(checked(page.run())))
    assert len(list((folder / "images").iterdir())) == 1, "none of the cancelled one"


def test_settings_stay_while_runs_are_looked_at(folder):
    page = open_page("New run", preset="My own")
    by_label(page.selectbox, "Data set").set_value("mnist")
    checked(page.run())
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
    page = open_page("New run")
    by_label(page.selectbox, "Data set").set_value("add")
    checked(page.run())
    by_label(page.segmented_control, "Where are the images?").set_value("Folder")
    checked(page.run())
    for name, said in (("absent", "is not a folder"), ("", "0 usable images are too few")):
        by_label(page.text_input, "Folder").set_value(str(tmp_path / "empty" / name))
        (tmp_path / "empty").mkdir(exist_ok=True)
        checked(page.run())
        make_the_data_set(page)
        assert said in page.error[0].value


def test_the_generate_page_opens_a_checkpoint_of_a_run(finished, monkeypatch):
    for name, images in (("run:tiny", 100), ("run:tiny@50", 50), ("run:tiny@best", None)):
        page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
        page.query_params["model"] = name
        checked(page.run())
        assert page.selectbox(key="model").value == name
        assert page.session_state["drawing"].subject.checkpoint == name
        if images:
            assert f"{images} images seen" in texts(page)
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.query_params["model"] = "run:../tiny"
    checked(page.run())
    assert page.selectbox(key="model").value == "fashion-mnist-gated"
    model, _ = load_checkpoint(finished.checkpoint)
    assert model.config.num_levels == 4


def test_a_second_start_says_that_the_run_is_going_on(folder, finished):
    finished.write_status(Status(state="stopped"))
    page = open_page("Runs")
    with finished.hold():
        page.button(key="resume").click()
        checked(page.run())
        assert "is going on already" in page.error[0].value
    with pytest.raises(RunError):
        launch.stop(finished)


def test_views_and_runs_can_be_switched_to_and_fro_and_stand_in_the_address(folder, finished):
    other = create_run(config(), folder / "other")
    page = open_page("Runs")
    for view in ("Compare", "Runs", "New run", "Runs", "Compare", "Runs"):
        page.segmented_control(key="tab").set_value(view)
        checked(page.run())
        assert page.segmented_control(key="tab").value == view
        shown = {"Compare": "Settings that differ", "Runs": "##### The run", "New run": "**Data**"}
        assert {v for v, words in shown.items() if words in texts(page)} == {view}
    for run in (finished, other, finished, other):
        page.selectbox(key="run_choice").set_value(run.id)
        checked(page.run())
        assert page.selectbox(key="run_choice").value == run.id
        assert page.query_params["run"] in (run.id, [run.id])
        assert f"#### {words.plain(run.about()['name'])} " in texts(page)
    page.selectbox(key="run_choice").set_value(finished.id)
    checked(page.run())
    del page.query_params["run"]  # as happens for a moment while others change the address
    checked(page.run())
    assert page.selectbox(key="run_choice").value == finished.id


def test_a_view_that_does_not_exist_is_the_first_one(folder):
    assert "**Data**" in texts(open_page("absent"))


def test_a_page_opened_while_a_run_goes_on_shows_the_run(folder, finished):
    with finished.hold():
        finished.write_status(Status(state="training", images_seen=50))
        page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
        page.switch_page("pages/train.py")
        assert ":blue-badge[training]" in texts(checked(page.run()))


def test_runs_that_cannot_be_kept_are_refused_before_they_are_started(folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    page = open_page("New run")
    assert "Name another folder with the environment variable PIXELCNN_RUNS" in page.error[0].value
    assert "start" not in [b.key for b in page.button]


def test_a_full_disk_is_said_where_the_run_was_to_start(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    page = open_page("New run")
    monkeypatch.setattr(runs, "write_atomically", full)
    button(page, "Start").click()
    checked(page.run())
    assert "was not started. [Errno 28] No space left on device" in page.error[0].value
    assert list_runs() == []


def test_a_checkpoint_is_exported_imported_and_deleted(finished):
    page = open_page("Runs")
    content = finished.checkpoint.read_bytes()
    page.file_uploader(key="import").upload("Boots & co.safetensors", content, "x/y")
    checked(page.run())
    assert imported_path("imported:Boots-co").read_bytes() == content
    links = [link.proto.query_string for link in page.get("page_link")]
    assert "model=imported%3ABoots-co" in links
    checked(page.run())  # a rerun does not import it again
    page.button(key="delete-imported:Boots-co").click()
    checked(page.run())
    checked(page.run())
    assert not imported_path("imported:Boots-co").exists()
    for bad in (content[:-1], b"no", b""):
        page.file_uploader(key="import").upload("bad.safetensors", bad, "x/y")
        checked(page.run())
        assert "bad.safetensors: " in page.error[0].value
        assert "not imported" in page.error[0].value
    assert not list((runs_dir() / "imported").iterdir())
    names = [link.proto.query_string for link in page.get("page_link")]
    assert not [name for name in names if "imported" in name]


def test_own_images_can_be_deleted(folder):
    squares = [SourceImage(f"{n}.bmp", bmp(n)) for n in range(8)]
    path = folder / "images" / "squares.images.safetensors"
    save_image_set(path, make_image_set(squares, size=8, colour=False))
    create_run(new_config(MODEL, TRAIN | {"dataset": str(path)}))
    page = open_page("New run")
    by_label(page.selectbox, "Data set").set_value(str(path))
    checked(page.run())
    assert "8 x 8 grey" in texts(page) and "learn from it (1) can then not go on" in texts(page)
    page.button(key="delete_data").click()
    checked(page.run())
    assert not path.exists() and by_label(page.selectbox, "Data set").value == "fashion-mnist"


def bmp(level):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "BMP")
    return buffer.getvalue()


def test_every_stage_is_one_row_of_a_picture(finished):
    page = open_page("Runs")
    by_label(page.toggle, "All stages, one a row").set_value(True)

    def captions():
        return [str(image.proto) for image in checked(page.run()).get("image")]

    wait_for(lambda: any("From top to bottom, after 25, 50 images" in c for c in captions()))


def test_damaged_data_are_called_damaged(folder, tmp_path):
    (labels,) = tmp_path.glob("data/FashionMNIST/raw/train-labels-idx1-ubyte")
    labels.write_bytes(b"no")
    page = open_page("New run")
    assert "Fashion-MNIST" in page.error[0].value and "is damaged" in page.error[0].value
    assert "not on this computer yet" not in texts(page)


def test_a_measurement_that_cannot_start_is_said(folder, monkeypatch):
    def refused(config):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(form, "Measurement", refused)
    page = open_page("New run")
    assert "Nothing could be measured" in page.warning[0].value
    assert "start" in [b.key for b in page.button]


def test_a_measurement_beside_a_run_is_another_one(folder, finished):
    page = open_page("New run")
    assert "this is more than it takes alone" not in texts(page)
    with finished.hold():
        finished.write_status(Status(state="training", images_seen=50))
        assert "this is more than it takes alone" in texts(checked(page.run()))
        assert len(page.session_state["measurements"]) == 2
    assert "measurements" not in AppTest.from_file("../app.py").session_state


def test_a_data_set_that_is_not_here_yet_is_announced_as_a_download(folder):
    page = open_page("New run", preset="My own")
    by_label(page.selectbox, "Data set").set_value("cifar10")
    checked(page.run())
    assert "32 x 32 RGB" in texts(page) and not page.error
    assert "CIFAR-10 is not on this computer yet" in texts(page)


def test_runs_can_be_shown_after_their_own_images_were_deleted(folder):
    squares = [SourceImage(f"{n}.bmp", bmp(n)) for n in range(8)]
    path = folder / "images" / "squares.images.safetensors"
    save_image_set(path, make_image_set(squares, size=8, colour=False))
    run = create_run(new_config(MODEL, TRAIN | {"dataset": str(path)}))
    path.unlink()
    page = open_page("Runs", run=run.id)
    assert any("squares.images.safetensors" in code.value for code in page.code)


def test_a_problem_of_one_run_is_not_said_on_the_card_of_another(folder):
    first, second = (create_run(config(), folder / name) for name in ("first", "second"))
    page = open_page("Runs", run=first.id)
    page.session_state["run_problem"] = first.id, "first: is going on already."
    assert "is going on already" in texts(checked(page.run()))
    page.selectbox(key="run_choice").set_value(second.id)
    assert "is going on already" not in texts(checked(page.run()))


def test_a_slider_at_an_early_stage_stays_there_when_a_new_stage_comes(finished):
    late, aside = finished.stages()[50], finished.path / "aside"
    late.rename(aside)
    page = open_page("Runs", run=finished.id)
    page.select_slider[0].set_value(25)
    checked(page.run())
    aside.rename(late)
    checked(page.run())
    assert page.select_slider[0].value == 25
