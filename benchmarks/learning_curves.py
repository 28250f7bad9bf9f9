"""Draw how the shipped models learned.

    python benchmarks/learning_curves.py [NAME=RUN[+RUN ...] ...]

Takes the validation scores of the runs named into checkpoints/curves.json, under the
name of the checkpoint that came of each, and draws all curves there into
checkpoints/pictures/learning-curves.png. Runs joined by + each began with the weights of the last.
"""

import argparse
import json

import matplotlib.pyplot as plt

from pixelcnn.files import write_atomically
from pixelcnn.storage import CHECKPOINT_DIR
from pixelcnn.training.runs import Run, run_path

CURVES = CHECKPOINT_DIR / "curves.json"
PICTURE = CHECKPOINT_DIR / "pictures" / "learning-curves.png"
PANELS = {"Fashion-MNIST": "fashion-mnist", "MNIST": "mnist"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="NAME=RUN[+RUN ...]")
    curves = json.loads(CURVES.read_text())
    for pair in parser.parse_args().runs:
        name, _, runs = pair.partition("=")
        curves[name] = []
        for run in runs.split("+"):
            before = curves[name][-1][0] if curves[name] else 0
            records = Run(run_path(run)).metrics()
            curves[name] += [
                [before + r["images_seen"], round(r["validation"], 4)]
                for r in records
                if "validation" in r
            ]
    lines = [f"{json.dumps(name)}:{json.dumps(curve)}" for name, curve in sorted(curves.items())]
    write_atomically(CURVES, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    figure, panels = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for panel, (title, prefix) in zip(panels, PANELS.items(), strict=True):
        for name, curve in sorted(curves.items()):
            if name.startswith(prefix) and curve:
                images, bits = zip(*[point for point in curve if point[0] > 4000], strict=True)
                panel.plot(images, bits, ".-", label=f"{name}, {bits[-1]:.3f}")
        panel.set(title=title, xlabel="images seen")
        panel.set_ylabel("validation bits/dim, first 1,000 images")
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(PICTURE, dpi=100)
    print(f"wrote {CURVES} and {PICTURE}")


if __name__ == "__main__":
    main()
