"""The Family page: other kinds of autoregressive models, measured side by side."""
