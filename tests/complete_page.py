"""What the tests of the Complete page do there."""

import base64
import json
import time
from contextlib import suppress

import numpy as np
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.complete.run import CompletionRun
from pixelcnn.ui.shared.sketch import DRAWN, Sketch, channels_last

from .components import trigger

TIMEOUT = 120


def open_page(**query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.switch_page("pages/complete.py")
    for name, value in query.items():
        page.query_params[name] = str(value)
    return page.run()


def canvas_data(page: AppTest) -> dict:
    return canvas_message(page)[0]


def canvas_message(page: AppTest) -> tuple[dict, dict[str, np.ndarray]]:
    return decode(page.get_by_key("canvas").proto.bytes)


def shown(page: AppTest) -> Sketch:
    """What the canvas is sent."""
    data, arrays = canvas_message(page)
    return Sketch(np.moveaxis(arrays["level"], -1, 0), arrays["state"], data["levels"])


def draw(page: AppTest, sketch: Sketch, revision: int | None = None) -> AppTest:
    value = {
        "revision": canvas_data(page)["revision"] if revision is None else revision,
        "level": base64.b64encode(channels_last(sketch.level).tobytes()).decode(),
        "state": base64.b64encode(sketch.state.tobytes()).decode(),
    }
    states = page._tree.get_widget_states()
    component = page.get_by_key("canvas").proto.id
    states.widgets.append(WidgetState(id=component, json_value=json.dumps({"drawing": value})))
    return page._run(states)


ONE_ORDER = "fashion-mnist-gated"
"""A model for which a lower half is no prefix, and every stroke a fact."""
READER = "fashion-mnist-complete"
"""The model that the page begins with: it reads evidence, and strokes are hints."""


def half(rows=slice(0, 14)) -> Sketch:
    state = np.zeros((28, 28), np.uint8)
    state[rows] = DRAWN
    level = np.where(state > 0, np.arange(28, dtype=np.uint8) * 9, 0).astype(np.uint8)
    return Sketch(level[None], state)


def with_gallery(page: AppTest) -> AppTest:
    """Wait until the pictures to start from are drawn."""
    until = time.monotonic() + TIMEOUT
    while any("draws pictures" in bar.proto.text for bar in page.get("progress")):
        assert time.monotonic() < until
        time.sleep(0.2)
        page.run()
    return page


def complete(page: AppTest) -> AppTest:
    """Press the button, and wait until everything is drawn."""
    return finish(press(page, "Complete"))


def finish(page: AppTest) -> AppTest:
    """Pull until everything is drawn, as the browser does."""
    until = time.monotonic() + TIMEOUT
    while not (head := message(page)[0])["done"]:
        assert time.monotonic() < until and not page.exception
        trigger(page, "completions", "pull", {"run": head["run"], "serial": head["serial"]})
    return page


def model_of(page: AppTest) -> str:
    return page.selectbox(key="complete_model").value


def run_of(page: AppTest) -> CompletionRun | None:
    """The completions of the session."""
    with suppress(KeyError):
        return page.session_state["completion"]
    return None


def message(page: AppTest) -> tuple[dict, dict[str, np.ndarray]]:
    """What the sheet is sent."""
    return decode(page.get_by_key("completions").proto.bytes)


def words(page: AppTest) -> str:
    elements = [*page.markdown, *page.caption, *page.warning]
    return "\n".join(element.value for element in elements)


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [b for b in page.button if b.label == label]
    assert not button.disabled
    return button.click().run()
