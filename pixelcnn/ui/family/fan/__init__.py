"""The fan: futures of a series that grow week by week, and what is expected of the next."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixelcnn.completion.forecast import Forecast
from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.browser.wire import encode, fingerprint

_component = component("family/fan", "playback")


def encode_forecast(forecast: Forecast, truth: NDArray[np.int64]) -> bytes:
    """Encode a forecast, and the series (W,) as it really went on."""
    sections = {
        "truth": truth.astype(np.uint8),
        "futures": forecast.futures.astype(np.uint8),
        "quantiles": forecast.quantiles.astype(np.float32),
        "probabilities": forecast.probabilities.astype(np.float32),
    }
    return encode({"past": forecast.past, "id": fingerprint(sections)}, sections)


def fan(message: bytes, *, key: str, on_past: Callable[[], None]) -> None:
    """Mount the fan; playing, stepping and hovering need no server.

    Arguments:
        message: made with `encode_forecast`.
        key: key of the component.
        on_past: the point where the past ends was dragged; `st.session_state[key]["past"]` is
            the number of weeks that are known now, while it runs.
    """
    _component(key=key, data=message, on_past_change=on_past)
