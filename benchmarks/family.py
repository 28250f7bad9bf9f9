"""Train the family: every kind of model on the same images, one after the other, unattended.

Stop it at any time; the same command goes on where it stopped. A run that failed is left, and told
at the end. Everything after `--` goes to `python -m pixelcnn train` for each new run, for example
`-- --device cuda --compile --batch-size 128`.
"""

import argparse
import subprocess
import sys

from pixelcnn.training.runs import Run, run_path

MEMBERS = ("rnn", "lstm", "gru", "transformer", "attention", "classic", "gated")
CONVOLUTIONS = "--head-features 96 --kernel-size 5 --num-features"
LARGE = {
    "rnn": "--num-features 320",
    "lstm": "--num-features 160",
    "gru": "--num-features 192",
    "transformer": "--num-features 64 --num-layers 4 --num-heads 4 --features-per-head 16",
    "classic": f"{CONVOLUTIONS} 64 --dilations 1 1 2 1 2",
    "gated": f"{CONVOLUTIONS} 32 --dilations 1 2 4 8 1 2",
    "attention": f"{CONVOLUTIONS} 32 --dilations 1 1 1 1 1 1 --attention-every 3"
    " --features-per-head 16",
}
"""0.2 to 0.33 million parameters each: what one core trains in some minutes."""
SMALL_CONVOLUTIONS = "--num-features 12 --head-features 24 --first-kernel-size 5 --dilations 1 2 4"
SMALL = {
    "rnn": "--num-features 32",
    "lstm": "--num-features 20",
    "gru": "--num-features 24",
    "transformer": "--num-features 16 --num-layers 2 --num-heads 2 --features-per-head 8",
    "classic": SMALL_CONVOLUTIONS + " 8 1 2 4 8",
    "gated": SMALL_CONVOLUTIONS,
    "attention": f"{SMALL_CONVOLUTIONS} --attention-every 2 --num-heads 2 --features-per-head 6",
}
"""A few thousand parameters, for a series of prices."""
PICTURES = (
    "--total-images 12000 --learning-rate 6e-3 --warmup-fraction 0.04 --evaluate-every 2000"
    " --validation-images 500"
)
PRICES = "--num-levels 64 --total-images 100000 --batch-size 64 --evaluate-every 20000"


def queue() -> dict[str, list[str]]:
    """Give the options of `train` for every member, by the name of its run."""
    found = {}
    for dataset in ("price", "fashion-mnist", "mnist"):
        own, shared = (SMALL, PRICES) if dataset == "price" else (LARGE, PICTURES)
        for name in MEMBERS:
            options = f"--architecture {name} --dataset {dataset} {shared} {own.get(name, '')}"
            found[f"{dataset}-{name}"] = options.split()
    return found


def train(name: str, options: list[str], more: list[str]) -> bool:
    """Begin a run, or go on with it; returns whether it is finished."""
    run = Run(run_path(name))
    if run.exists() and run.status().state == "finished":
        return True
    arguments = ["--resume"] if run.exists() else [*options, *more]
    command = [sys.executable, "-m", "pixelcnn", "train", name, *arguments]
    print("\n$", *command, flush=True)
    return subprocess.run(command, check=False).returncode == 0


def main() -> int:
    """Train what is named; returns 1 if a run is not finished."""
    members = queue()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(members)}")
    parser.add_argument("--suffix", default="", help="added to the name of each run, as -gpu")
    own, more = sys.argv[1:], []
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    if unknown := set(options.names) - set(members):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(members)}")
    left = []
    try:
        for name in options.names or members:
            if not train(name + options.suffix, members[name], more):
                left.append(name + options.suffix)
    except KeyboardInterrupt:  # the run has saved its state
        return 130
    print(f"not finished: {', '.join(left)}" if left else "all are finished")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
