"""The browser's half of the components, and the bytes between it and the server."""
