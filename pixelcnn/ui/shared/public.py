"""A public copy: whoever opens it may look and draw, and change nothing on the server.

Off are what fills a disk, reads folders of the server, or is another visitor's: training, import,
deleting, own images, fetching of data sets. Uploads are small. See README, *Serve it to a class*.
"""

import os

ENVIRONMENT_VARIABLE = "PIXELCNN_PUBLIC"
UPLOAD_MB = 2
NOTICE = (
    "This is a public copy: you can watch runs, but training, importing and deleting are off. "
    "They work in a copy of your own."
)


def is_public() -> bool:
    """Say whether this copy is one: the environment variable is set, and not to 0."""
    return os.environ.get(ENVIRONMENT_VARIABLE, "0") not in ("", "0")


def upload_mb(usual: int) -> int:
    """Give how large an upload may be, in MB."""
    return UPLOAD_MB if is_public() else usual
