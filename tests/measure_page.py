"""The Measure page as Streamlit runs it, and what its tests ask of it."""

import json
import time

import numpy as np
from streamlit.testing.v1 import AppTest

from pixelcnn.ui.browser.wire import decode

TIMEOUT = 120
NAME = "fashion-mnist-gated"


def open_page(**query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.switch_page("pages/measure.py")
    for name, value in query.items():
        page.query_params[name] = value if isinstance(value, list) else str(value)
    page.run()
    assert not page.exception
    return page


def wait_for(page: AppTest, condition) -> AppTest:
    """Rerun, as the fragment with the progress bar does, until something holds."""
    end = time.monotonic() + TIMEOUT
    while not condition(page):
        assert time.monotonic() < end and not page.exception
        time.sleep(0.2)
        page.run()
    return page


def message(page: AppTest, key: str) -> tuple[dict, dict[str, np.ndarray]]:
    return decode(page.get_by_key(key).proto.bytes)


def figure(page: AppTest, key: str) -> dict:
    return json.loads(page.get_by_key(key).proto.spec)


def has(page: AppTest, key: str) -> bool:
    try:
        return page.get_by_key(key) is not None
    except KeyError:
        return False


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error]
    return "\n".join(part.value for part in parts)
