"""What are the hidden kinds of picture that a checkpoint knows?

    python benchmarks/kinds.py mnist-gated [--data-dir DIR]

Takes the validation images of the checkpoint's data set, read from the top. Prints between how
many kinds the model wavers on the way (the perplexity of the posterior, geometric mean), and where
the pictures end whose grey levels are quarters: black and white scans of twice the size, four
pixels to one.
"""

import argparse

import torch

from pixelcnn.checkpoints import checkpoint_path, load_checkpoint
from pixelcnn.data import load_dataset

QUARTERS = torch.tensor([0, 64, 128, 191, 255])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    model, info = load_checkpoint(checkpoint_path(options.checkpoint))
    if model.kinds is None:
        parser.error(f"{options.checkpoint} knows no kinds")
    levels, _ = load_dataset(
        info.dataset, "validation", options.data_dir, num_levels=model.config.num_levels
    )
    drawn = (levels[:, 0] > 0).any(2)
    first = drawn.int().argmax(1)  # the first row that is drawn on
    with torch.inference_mode():
        beliefs = [
            model.kinds.posterior(
                model.encode(part.long())[:, 0], torch.zeros(len(part), dtype=torch.int64)
            )[:, :, -1]  # rows but a pixel
            for part in levels.split(100)
        ]
    belief = torch.cat(beliefs)  # (N, H, J)
    entropy = torch.special.entr(belief).sum(2)
    print(f"{options.checkpoint}, {len(levels):,} validation images, {belief.shape[2]} kinds")
    prior = model.kinds.prior.detach().view(-1, belief.shape[2])[0]  # of the top
    before = torch.special.entr(prior.softmax(0)).sum()
    print(f"kinds left before the drawing: {before.exp():.1f}")
    for rows in (1, 2, 4, 8, 16):
        after = entropy.gather(1, (first + rows - 1).clamp(max=entropy.shape[1] - 1)[:, None])
        print(f"after {rows} drawn rows: {after.mean().exp():.2f}")
    quarters = torch.isin(levels, QUARTERS).flatten(1).all(1)
    ends = belief[quarters, -1].argmax(1).bincount(minlength=belief.shape[2])
    largest = int(ends.argmax())
    others = belief[~quarters, -1].argmax(1) == largest
    print(
        f"only the levels {', '.join(map(str, QUARTERS.tolist()))}: {int(quarters.sum())} images, "
        f"of which {int(ends[largest])} end as kind {largest}; of the others "
        f"{int(others.sum())} do"
    )


if __name__ == "__main__":
    main()
