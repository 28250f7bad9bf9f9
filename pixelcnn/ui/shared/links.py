"""What a link says to the controls: taken in within their limits, else refused aloud."""

import inspect
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pixelcnn.ui.shared.literal import literal

REFUSED, PLACE = "refused", "place of what is refused"


def bound(
    widget: Callable[..., Any],
    label: str,
    *limits: Any,
    key: str,
    rule: str | None = None,
    **more: Any,
) -> Any:  # noqa: ANN401 - whatever the widget gives
    """Draw a control whose value lives in the link; what the link says is checked first.

    Where that breaks the control's rule it is left out, and the page says so.

    Arguments:
        widget: of Streamlit: `st.slider`, or that of a column.
        label: of the control.
        limits: what the widget takes next: its options, or its limits.
        key: of the control, in the session state and in the link.
        rule: what the options are, in words; None lists them.
        more: further arguments of the widget.
    """
    given = inspect.signature(widget).bind(label, *limits, **more).arguments
    texts = st.query_params.get_all(key)
    fault = _fault(widget.__name__, given, texts) if texts else None
    is_new = key not in st.session_state
    if fault is not None:
        _forget(key)
    value = widget(label, *limits, key=key, bind="query-params", **more)
    if value is None and "options" in given:  # the browser went back in its history
        value = given.get("default") or given["options"][given.get("index", 0)]
    if fault is not None and is_new:
        refuse(key, texts[-1], rule or fault, value)
    elif key in (refused := st.session_state.get(REFUSED, {})) and refused[key][1] != value:
        del refused[key]
    return value


def take_renamed(key: str, now: Mapping[str, str]) -> None:
    """Open what an older link names by its old name; before the control is drawn."""
    if (name := now.get(st.query_params.get(key, ""))) is not None:
        _forget(key)
        st.session_state.setdefault(key, name)


def refuse(name: str, text: str, rule: str, instead: object = None) -> None:
    """Say which value of a link was left out, and the rule it breaks, until the page is left.

    Arguments:
        name: of the parameter.
        text: what the link says.
        rule: "be a number from 1 to 7".
        instead: value of the control; when it changes, this is no longer said.
    """
    said = literal(f"{name} (={reprlib.repr(text)}) in the link must {rule}; it was left out.")
    refused = st.session_state.setdefault(REFUSED, {})
    if refused.get(name, (None,))[0] != said:
        refused[name] = said, instead
        _say(said)


def begin(is_another_page: bool) -> None:
    """Make the place for what is refused, here, and say again what was."""
    if is_another_page:
        st.session_state.pop(REFUSED, None)
    st.session_state[PLACE] = st.container()
    for said, _ in st.session_state.get(REFUSED, {}).values():
        _say(said)


def _say(said: str) -> None:
    st.session_state[PLACE].warning(said, icon=":material/link_off:")


def _forget(key: str) -> None:
    """Take a value out of the link, so that its control begins as without it.

    Streamlit leaves out most of what a control refuses, but would halt at `1e999` for an integer.
    """
    with get_script_run_ctx().session_state.query_params() as query:
        query._initial_query_params.pop(key, None)
        query.remove_param(key)


def _fault(widget: str, given: dict[str, Any], texts: list[str]) -> str | None:
    """Give the rule of a control, if what a link says breaks it: "be a number from 1 to 7"."""
    if "options" in given:
        options = [str(given.get("format_func", str)(option)) for option in given["options"]]
        most = given.get("max_selections", len(options)) if widget == "multiselect" else 1
        if len(texts) <= most and {*texts} <= {*options, *([""] if most > 1 else [])}:
            return None
        shown = ", ".join(options[:12]) + (", …" if len(options) > 12 else "")
        return f"be one of: {shown}" if most == 1 else f"be at most {most} of: {shown}"
    text = texts[-1]
    if widget == "toggle":
        return None if text.lower() in ("true", "false") else "be true or false"
    if "max_value" not in given:
        return None
    low, high = given["min_value"], given["max_value"]
    whole = isinstance(low, int)
    rule = f"be {'an integer' if whole else 'a number'} from {low:,} to {high:,}"
    try:
        if whole and not re.fullmatch(r"-?[0-9]{1,16}", text):
            return rule
        number = int(text) if whole else float(text)
        if not (math.isfinite(number) and low <= number <= high):
            return rule
    except ValueError:
        return rule
    return None
