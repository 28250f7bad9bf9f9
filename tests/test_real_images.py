"""Real test sets: fetched once for everybody, whole or not at all."""

import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from pixelcnn.data.datasets import DataError, load_dataset
from pixelcnn.ui.shared import real_images
from pixelcnn.ui.shared.jobs import JOBS, KEPT

from .made_up_data import write_mnist_like
from .measure_page import texts, wait_for

TIMEOUT = 30


class Fetching:
    """Writes made-up files slowly, file by file, as torchvision does."""

    def __init__(self):
        self.gate, self.places = threading.Event(), []

    def __call__(self, name, split, directory=None, *, download=True, **more):
        if not download:
            return load_dataset(name, split, directory, download=False, **more)
        self.places.append(directory)
        raw = directory / "MNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / "t10k-images-idx3-ubyte").write_bytes(b"half of it")
        (raw / "a.gz").write_bytes(b"x" * 6_000_000)
        assert self.gate.wait(TIMEOUT)
        try:
            write_mnist_like(directory, "MNIST", test=30)
        except OSError as error:
            raise DataError(str(error)) from error
        return None


@pytest.fixture
def fetching(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("PIXELCNN_DATA", str(folder))
    fetching = Fetching()
    fetching.folder = folder
    monkeypatch.setattr(real_images, "load_dataset", fetching)
    yield fetching
    fetching.gate.set()


def script():
    import streamlit as st

    from pixelcnn.ui.shared.real_images import test_set

    images = test_set("mnist", "here")
    if images is not None:
        st.markdown(f"{len(images[0])} images")


def opened():
    page = AppTest.from_function(script, default_timeout=TIMEOUT).run()
    assert not page.exception
    return page


def begin(page):
    (button,) = page.button
    assert button.label == "Download MNIST (12 MB)"
    return button.click().run()


def progress(page):
    return page.get("progress")[0].proto.text if page.get("progress") else ""


def test_a_download_is_shown_to_everybody_and_the_images_appear(fetching):
    first = begin(opened())
    wait_for(first, lambda p: "52\xa0%" in progress(p))
    second = opened()
    assert "52\xa0%" in progress(second) and not second.error, (
        "one download, and half is not damaged"
    )
    assert len(fetching.places) == 1
    assert [p.name for p in fetching.folder.iterdir()] == [fetching.places[0].name]
    fetching.gate.set()
    for page in (first, second):
        wait_for(page, lambda p: "30 images" in texts(p))
    assert [p.name for p in fetching.folder.iterdir()] == ["MNIST"]


def test_a_cancelled_download_leaves_nothing_and_can_be_begun_again(fetching):
    page = begin(opened())
    wait_for(page, lambda p: "52\xa0%" in progress(p))
    next(b for b in page.button if b.label == "Cancel").click().run()
    assert "Cancelled." in texts(page)
    begin(page)
    wait_for(page, lambda p: len(fetching.places) == 2)
    assert fetching.places[0] != fetching.places[1], "never two writers of one file"
    fetching.gate.set()
    wait_for(page, lambda p: "30 images" in texts(p))
    end = time.monotonic() + TIMEOUT
    while [p.name for p in fetching.folder.iterdir()] != ["MNIST"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_fails_says_why_and_can_be_tried_again(fetching, monkeypatch):
    def fail(*_, download, **__):
        raise DataError(f"no {'network' if download else 'files'}")

    monkeypatch.setattr(real_images, "load_dataset", fail)
    page = begin(opened())
    wait_for(page, lambda p: p.error)
    assert "This did not work. no network" in page.error[0].value
    assert [b.label for b in page.button] == ["Download MNIST (12 MB)"]
    assert list(fetching.folder.iterdir()) == []


def test_damaged_files_are_named_and_not_fetched_over(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path))
    write_mnist_like(tmp_path, "MNIST")
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"short")
    page = opened()
    assert "MNIST in the folder" in page.error[0].value and "damaged" in page.error[0].value
    assert not page.button


def test_work_begins_again_when_its_result_is_no_longer_kept(monkeypatch):
    def script():
        import streamlit as st

        from pixelcnn.ui.shared.long_work import result_of

        def make():
            yield 0.5
            return "done"

        st.markdown(str(result_of("evicted", make, slot="here", button=None, what="Working")))

    page = AppTest.from_function(script, default_timeout=TIMEOUT).run()
    assert texts(page) == "done"
    for number in range(KEPT):
        JOBS.results.put(number, 1)
    assert JOBS.results.get("evicted") is None
    page.run()
    assert texts(page) == "done" and not page.button
