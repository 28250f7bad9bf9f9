"""What tests of the Train page share: made-up data, the page, a finished run."""

import io

from PIL import Image
from streamlit.testing.v1 import AppTest

from pixelcnn.data.own_images import SourceImage, make_image_set, save_image_set
from pixelcnn.training.estimate import Estimate
from pixelcnn.training.runs import create_run
from pixelcnn.training.worker import train_run
from pixelcnn.ui.shared.jobs import JOBS, KEPT, Results
from pixelcnn.ui.train import form

from .tiny_runs import config, runs_folder

TIMEOUT = 120


class Estimating:
    """Makes estimates that are over at once."""

    def __init__(self):
        self.configs = []

    def __call__(self, config):
        self.configs.append(config)
        return Estimate(1, 125.0, 48.0, 700 * 2**20, "cpu, float32")
        yield


def train_folder(tmp_path, monkeypatch):
    """Give the folder of runs: an empty one, beside made-up data; runs in it end with the test."""
    monkeypatch.setattr(JOBS, "results", Results(KEPT))
    form._some_pictures.clear()
    yield from runs_folder(tmp_path, monkeypatch)


def finished_run(folder):
    """Make a finished run of 20 updates with stages."""
    run = create_run(config(total_images=100, stages=(25, 50)), folder / "tiny", name="Tiny *one*")
    train_run(run, run.config())
    return run


def open_page(tab, **query):
    return open_any("pages/train.py", tab=tab, **query)


def open_any(file, **query):
    """Open a page of the app by its file, with what stands in its address."""
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.switch_page(file)
    for name, value in query.items():
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


def pressed(page, *, key=None, label=None):
    """Press a button."""
    (page.button(key=key) if key else by_label(page.button, label)).click()
    return checked(page.run())


def set_to(page, elements, label, value):
    """Set one of these controls, by its label."""
    by_label(elements, label).set_value(value)
    return checked(page.run())


def squares(folder, *, colour=False):
    """Write a data set of eight pictures of 8 x 8 pixels."""
    images = [SourceImage(f"{n}.bmp", bmp(n)) for n in range(8)]
    path = folder / "images" / "squares.images.safetensors"
    save_image_set(path, make_image_set(images, size=8, colour=colour))
    return path


def bmp(level):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "BMP")
    return buffer.getvalue()
