"""What the browser does when a component fires a trigger; Streamlit has no public call for it."""

import json

from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest


def trigger(page: AppTest, key: str, event: str, value: dict) -> AppTest:
    """Fire one trigger of the component with this key, and run the page."""
    component = page.get_by_key(key).proto.id
    states = page._tree.get_widget_states()
    events = json.dumps([{"event": event, "value": value}])
    states.widgets.append(
        WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{component}__events", json_trigger_value=events)
    )
    return page._run(states)
