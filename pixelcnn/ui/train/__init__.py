"""The Train page: `form` starts runs, `watch` follows one, `compare` sets several side by side.

`presets`, `estimate`, `sheets`, `curves` and `words` know no Streamlit.
"""
