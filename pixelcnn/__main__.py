"""`python -m pixelcnn`: the command line."""

import sys

from pixelcnn.cli import main

sys.exit(main())
