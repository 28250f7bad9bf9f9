"""A public copy changes nothing on the server; the app is not public unless it is opened."""

import re
import tomllib
from pathlib import Path

import pytest
from streamlit.config import get_option

from pixelcnn.training.runs import Status, create_run

from .test_links import PAGES, SECTIONS, open_page
from .tiny_runs import config

ROOT = Path(__file__).parent.parent
OFF = {"Start", "Add to the queue", "Stop", "Resume", "End by force", "Save", "Delete",
       "Delete for good", "Import", "Make the data set"}  # fmt: skip
CASES = [(name, value) for name in PAGES for value in SECTIONS.get(name, ("", [""]))[1]]


@pytest.fixture
def public(monkeypatch, tmp_path):
    monkeypatch.setenv("PIXELCNN_PUBLIC", "1")
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))
    run = create_run(config(), name="one")
    run.write_status(Status(state="stopped"))


@pytest.mark.parametrize(("name", "section"), CASES)
def test_a_public_copy_offers_nothing_that_changes_the_server(public, no_data, name, section):
    page = open_page(name, {SECTIONS[name][0]: section} if section else {})
    assert not page.exception
    assert not OFF & {button.label for button in page.button}
    assert not [b for b in page.button if b.label.startswith("Download ")]
    assert not [box for box in page.text_input if box.label in ("Folder", "Name")]
    sizes = [box.proto.max_upload_size_mb for box in page.get("file_uploader")]
    assert all(size <= 2 for size in sizes)
    notices = [box for box in page.info if "public copy" in box.value]
    assert len(notices) == (name == "train")


def test_the_run_of_a_public_copy_can_be_watched(public):
    page = open_page("train", {"run": "one"})
    assert not page.exception and any("stopped" in m.value for m in page.markdown)


def test_the_app_answers_only_this_computer_unless_it_is_opened():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    recipe = (ROOT / "Makefile").read_text()
    opened = re.findall(r".*0\.0\.0\.0.*", recipe)
    assert opened and all("PIXELCNN_PUBLIC=1" in line for line in opened)


def test_no_message_refers_to_one_that_the_browser_may_have_forgotten():
    assert get_option("global.minCachedMessageSize") > 2**30  # larger than any message


def dockerfile():
    """The steps of the Dockerfile: (word, rest)."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(" ", 1)) for line in lines]


def test_the_container_is_not_root_and_says_whether_it_is_well():
    steps = dockerfile()
    words = [word for word, _ in steps]
    assert words[0] == "FROM" and steps[0][1].startswith("python:3.")
    assert dict(steps)["USER"] not in ("root", "0") and words.index("USER") < words.index("CMD")
    assert "HEALTHCHECK" in words and "PIXELCNN_PUBLIC=1" in dict(steps)["ENV"]
    readme = (ROOT / "README.md").read_text()
    assert "docker run --read-only --tmpfs /tmp" in readme
