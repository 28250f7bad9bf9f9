"""`python -m pixelcnn`, or `pixelcnn` where the package is installed: the command line."""

import os
import sys

# Threads that wait spin for some microseconds, then sleep. On two cores `estimate --compile` gave
# 60 images/s with threads that sleep at once, 76 with these, 89 with threads that spin on; beside
# two busy programs 25 and 24, and spinning on once made it ten times slower. Read when torch is
# imported, so it comes first.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

from pixelcnn.commands.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
