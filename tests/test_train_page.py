"""The Train page as Streamlit runs it, without a browser; runs are real, on made-up data."""

import shlex
from shutil import copytree

import pytest

from pixelcnn.commands.train import new_config
from pixelcnn.training.runs import Run, Status, create_run, list_runs
from pixelcnn.training.worker import train_run
from pixelcnn.ui.shared.layout import PAGES
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.train.transfer import imported_path

from .tiny_runs import MODEL, TRAIN, config, wait_for
from .train_page import (
    checked,
    finished_run,
    open_any,
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


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """A run for all tests, each of which gets a copy."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in train_folder(tmp_path_factory.mktemp("once"), patch):
            yield finished_run(folder)


@pytest.fixture
def finished(finished_once, folder):
    return Run(copytree(finished_once.path, folder / finished_once.id))


def test_a_finished_run_shows_its_curve_pictures_and_what_to_do_with_it(finished):
    page = open_page("Runs")
    text = texts(page)
    assert "Tiny \\*one\\* :green-badge[finished]" in text
    assert page.button(key="stop").disabled and page.button(key="resume").disabled
    (chart, *_) = page.get("plotly_chart")
    for text in ("uniform guess 2.00", "PNG files", "validation"):
        assert text in chart.proto.spec
    assert not [e for e in page.error]
    command = page.code[-1].value
    assert shlex.split(command)[:5] == ["python", "-m", "pixelcnn", "train", "NAME"]
    assert "--total-images 100" in command and "--num-levels 4" in command
    slider = stages_of(page)
    assert slider.options == ["25 images", "50 images", "newest"]


def stages_of(page):
    (slider,) = [s for s in page.select_slider if s.label == "Checkpoint"]
    return slider


def links_of(page):
    """Labels and queries of the links that open a checkpoint on another page."""
    links = [link.proto for link in page.get("page_link")]
    return [(link.label, link.query_string) for link in links if "model" in link.query_string]


def test_the_checkpoint_of_a_run_in_colour_opens_on_every_page(folder):
    path = squares(folder, colour=True)
    model = MODEL | {"num_features": 6, "head_features": 6}
    made = new_config(model, TRAIN | {"dataset": str(path), "total_images": 10})
    run = create_run(made, folder / "colour")
    train_run(run, run.config())
    labels = [label for label, _ in links_of(open_page("Runs"))]
    assert labels == ["Generate", "Complete", "Masks", "Measure"]
    for file, name, *_ in PAGES:
        if name in labels:
            page = open_any(file, model="run:colour")
            key = "complete_model" if name == "Complete" else "model"
            assert page.selectbox(key=key).value == "run:colour"


def test_the_checkpoints_of_a_run_open_on_every_page(finished):
    page = open_page("Runs")
    others = len(PAGES) - 2  # every page but this, and the one about several models
    assert [query for _, query in links_of(page)] == ["model=run%3Atiny"] * others
    page.segmented_control(key="use_which").set_value("Best")
    checked(page.run())
    assert [query for _, query in links_of(page)] == ["model=run%3Atiny%40best"] * others
    for name in ("complete", "masks", "measure"):
        page = open_any(f"pages/{name}.py", model="run:tiny@best")
        key = "complete_model" if name == "complete" else "model"
        assert page.selectbox(key=key).value == "run:tiny@best"
        assert not page.error
    generate = PAGES[0][0]
    for name, images in (("run:tiny", 100), ("run:tiny@50", 50), ("run:tiny@best", None)):
        page = open_any(generate, model=name)
        assert page.selectbox(key="model").value == name
        assert page.session_state["drawing"].subject.checkpoint == name
        assert not images or f"{images} images seen" in texts(page)
    page = open_any(generate, model="run:../tiny")
    assert page.selectbox(key="model").value == "fashion-mnist-gated"


def test_the_slider_draws_the_same_noise_at_another_stage(finished):
    page = open_page("Runs")

    def shown(images):
        captions = str([image.proto for image in checked(page.run()).get("image")])
        return f"After {images} images, seed 0, temperature 1" in captions

    wait_for(lambda: shown(100))
    stages = stages_of(page)
    stages.set_value(25)
    wait_for(lambda: shown(25))


def test_a_crashed_run_is_shown_as_crashed_with_its_log(folder, finished):
    with finished.hold():
        finished.write_status(Status(state="training", pid=1, images_seen=50))
    finished.log_path.write_text("some line\nKilled")
    page = open_page("Runs", run="tiny")
    assert ":red-badge[crashed]" in texts(page) and "Resume goes on" in page.error[0].value
    assert "Killed" in page.code[0].value
    assert not page.button(key="resume").disabled
    assert ":blue-badge[training]" not in texts(page)


def test_what_ended_a_run_is_said_on_its_card_and_on_no_other(folder):
    first, second = (create_run(config(), folder / name) for name in ("first", "second"))
    first.write_status(Status(state="failed", message="The disk is full. Free some space."))
    page = open_page("Runs", run=first.id)
    assert "The disk is full" in page.error[0].value
    page.session_state["run_problem"] = first.id, "first: is going on already."
    assert "is going on already" in texts(checked(page.run()))
    page.selectbox(key="run_choice").set_value(second.id)
    text = texts(checked(page.run()))
    assert "is going on already" not in text and "The disk is full" not in text


def test_a_damaged_run_is_named_and_can_be_deleted(folder):
    run = create_run(config(), folder / "bad")
    (run.path / "config.json").write_text("{")
    page = open_page("Runs")
    assert "bad: its config.json cannot be read" in page.error[0].value
    pressed(page, key="delete")
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
    wanted = "| learning rate | :orange-background[0.001] | :orange-background[0.008] |"
    assert wanted in table and "| stages | " in table and "in a batch" not in table
    spec = page.get("plotly_chart")[0].proto.spec
    assert spec.count("lines+markers") == 2
    set_to(page, page.toggle, "Also the settings in which they agree", True)
    table = next(m.value for m in page.markdown if m.value.startswith("|"))
    assert "| images in a batch | 5 | 5 |" in table


def test_compared_runs_show_pictures_under_common_noise(folder, finished):
    assert "Two runs are needed" in texts(open_page("Compare"))
    twin = create_run(finished.config(), folder / "twin", name="Twin")
    twin.checkpoint.write_bytes(finished.checkpoint.read_bytes())
    page = open_page("Compare")
    wait_for(lambda: len(checked(page.run()).get("image")) == 2)
    assert "#### The same noise, each run's newest checkpoint" in texts(page)
    first, second = (image.proto.imgs[0].url for image in page.get("image"))
    assert first == second, "the same weights and the same noise give the same pictures"


def test_a_second_start_says_that_the_run_is_going_on(folder, finished):
    finished.write_status(Status(state="stopped"))
    page = open_page("Runs")
    with finished.hold():
        pressed(page, key="resume")
        assert "is going on already" in page.error[0].value


def test_views_and_runs_can_be_switched_to_and_fro_and_stand_in_the_address(folder, finished):
    other = create_run(config(), folder / "other")
    page = open_page("Runs")
    for view in ("Compare", "Runs", "New run", "Runs", "Compare", "Runs"):
        page.segmented_control(key="tab").set_value(view)
        checked(page.run())
        assert page.segmented_control(key="tab").value == view
        shown = {"Compare": "Settings that differ", "Runs": "#### The run", "New run": "**Data**"}
        assert {v for v, words in shown.items() if words in texts(page)} == {view}
    for run in (finished, other, finished, other):
        page.selectbox(key="run_choice").set_value(run.id)
        checked(page.run())
        assert page.selectbox(key="run_choice").value == run.id
        assert page.query_params["run"] in (run.id, [run.id])
        assert f"#### {literal(run.about().name)} " in texts(page)
    page.selectbox(key="run_choice").set_value(finished.id)
    checked(page.run())
    del page.query_params["run"]  # as happens for a moment while others change the address
    checked(page.run())
    assert page.selectbox(key="run_choice").value == finished.id


def test_a_page_opened_while_a_run_goes_on_shows_the_run(folder, finished):
    with finished.hold():
        finished.write_status(Status(state="training", images_seen=50))
        assert ":blue-badge[training]" in texts(open_any("pages/train.py"))


def test_a_checkpoint_is_exported_imported_and_deleted(finished):
    page = open_page("Runs")
    content = finished.checkpoint.read_bytes()
    page.file_uploader(key="import").upload("Boots & co.safetensors", content, "x/y")
    checked(page.run())
    assert imported_path("imported:Boots-co").read_bytes() == content
    assert "model=imported%3ABoots-co" in [query for _, query in links_of(page)]
    checked(page.run())  # a rerun does not import it again
    pressed(page, key="delete-imported:Boots-co")
    checked(page.run())
    assert not imported_path("imported:Boots-co").exists()
    page.file_uploader(key="import").upload("bad.safetensors", content[:-1], "x/y")
    checked(page.run())
    assert "not imported. bad.safetensors: " in page.error[0].value
    assert not [query for _, query in links_of(page) if "imported" in query]


def test_every_stage_is_one_row_of_a_picture(finished):
    page = open_page("Runs")
    set_to(page, page.toggle, "All stages, one a row", True)

    def captions():
        return [str(image.proto) for image in checked(page.run()).get("image")]

    wait_for(lambda: any("From top to bottom, after 25, 50 images" in c for c in captions()))


def test_runs_can_be_shown_after_their_own_images_were_deleted(folder):
    path = squares(folder)
    run = create_run(new_config(MODEL, TRAIN | {"dataset": str(path)}))
    path.unlink()
    page = open_page("Runs", run=run.id)
    assert any("squares.images.safetensors" in code.value for code in page.code)


def test_a_slider_at_an_early_stage_stays_there_when_a_new_stage_comes(finished):
    late, aside = finished.stages()[50], finished.path / "aside"
    late.rename(aside)
    page = open_page("Runs", run=finished.id)
    stages_of(page).set_value(25)
    checked(page.run())
    aside.rename(late)
    checked(page.run())
    assert stages_of(page).value == 25
