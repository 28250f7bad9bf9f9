"""What buys the most per second of training? Short trainings that differ in one thing each.

    python benchmarks/what_buys_most.py [VARIANT ...] [--seconds 100] [--dataset fashion-mnist]

Every variant gets the same seconds of one core: its speed is measured, and the whole schedule of
the learning rate is laid into the images that it can see in that time. Prints bits/dim of
validation images after it, with the average weights. Without names, all are tried in turn.
"""

import argparse
import contextlib
import time
from dataclasses import replace
from functools import partial
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F

from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import load_dataset
from pixelcnn.models import GatedConfig, Model
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.training import engine
from pixelcnn.training.engine import TrainingState, train, train_step
from pixelcnn.training.scoring import evaluate

MODEL = GatedConfig(
    num_classes=10, num_features=48, kernel_size=5, dilations=(1, 2, 4, 8, 1, 2, 4)
)
TRAIN = TrainConfig(learning_rate=5e-3, ema_decay=0.995, evaluate_every=10**9)
MIXTURES, EMBEDDING, HEADS = 10, 16, 4
HEAD_LOGITS = ConvolutionModel.logits_from_head


def encode_scaled(self, levels):
    """The level scaled to [-1, 1] and nothing else."""
    features = torch.zeros(len(levels), self.config.features_per_channel, *levels.shape[2:])
    features[:, 0] = levels[:, 0] * (2 / (self.config.num_levels - 1)) - 1
    return features


def encode_embedded(self, levels):
    """A learned vector for every level."""
    return self.extra(levels[:, 0]).permute(0, 3, 1, 2)


def logistic_mixture_logits(self, features):
    """Log-probabilities of all levels under a mixture of discretized logistics.

    References:
        Salimans et al. 2017, arXiv 1701.05517, section 2.1.
    """
    first, last = self.head
    hidden = first(F.relu(features))
    params = last(F.relu(hidden))[:, : 3 * MIXTURES].float().unflatten(1, (3, MIXTURES))
    weights = params[:, 0].log_softmax(1)[:, :, None]  # (B, M, 1, H, W)
    means, scales = params[:, 1][:, :, None], params[:, 2].clamp(min=-7)[:, :, None].exp()
    edges = (torch.arange(1, 256) - 0.5) * (2 / 255) - 1
    below = torch.sigmoid((edges[:, None, None] - means) / scales)  # (B, M, 255, H, W)
    below = F.pad(F.pad(below, (0, 0, 0, 0, 1, 0)), (0, 0, 0, 0, 0, 1), value=1.0)
    masses = below.diff(dim=2).clamp(min=1e-7).log()
    return (weights + masses).logsumexp(1)[:, :, None]  # (B, K, 1, H, W)


def attending_logits(self, features):
    """The head after causal self-attention: every position reads all that came before it.

    References:
        Chen et al. 2018, arXiv 1712.09763 (PixelSNAIL), section 2.
    """
    heads = self.extra(features).flatten(2).unflatten(1, (3, HEADS, -1)).transpose(3, 4)
    read = F.scaled_dot_product_attention(*heads.unbind(1), is_causal=True)  # (B, heads, HW, F/h)
    features = features + read.transpose(2, 3).reshape(features.shape)
    return HEAD_LOGITS(self, features)


def compiled(state, config):
    state.compile()


def constant_rate(config, progress):
    return config.learning_rate * min(1.0, progress / config.warmup_fraction)


def attention():
    return nn.Conv2d(MODEL.num_features, 3 * MODEL.num_features, 1)


def patched(name, function):
    """Replace a method of the model while a variant runs."""
    owner = Model if name in vars(Model) else ConvolutionModel
    return partial(mock.patch.object, owner, name, function)


ADAMW_ONLY = patched("matrices", lambda model: [])

VARIANTS = {
    "as it is": {},
    "no Muon: AdamW for all": {"patch": ADAMW_ONLY},
    "AdamW for all, rate 2e-3": {"patch": ADAMW_ONLY, "train": {"learning_rate": 2e-3}},
    "compiled": {"prepare": compiled},
    "single precision": {"train": {"bfloat16": False}},
    "input: scaled level only": {"patch": patched("encode", encode_scaled)},
    "input: scaled level, is zero": {"model": {"num_frequencies": 0}},
    "input: 3 octaves": {"model": {"num_frequencies": 3}},
    "input: 8 octaves": {"model": {"num_frequencies": 8}},
    "input: learned embedding": {
        "model": {"num_frequencies": (EMBEDDING - 2) // 2},
        "patch": patched("encode", encode_embedded),
        "extra": lambda: nn.Embedding(256, EMBEDDING),
    },
    "output: logistic mixture": {"patch": patched("logits_from_head", logistic_mixture_logits)},
    "32 features, 12 blocks": {
        "model": {"num_features": 32, "dilations": (1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8)}
    },
    "72 features, 4 blocks": {"model": {"num_features": 72, "dilations": (1, 2, 4, 8)}},
    "3x3 kernels, 10 blocks": {
        "model": {"kernel_size": 3, "dilations": (1, 2, 4, 8, 1, 2, 4, 8, 1, 2)}
    },
    "no dilation": {"model": {"dilations": (1,) * 7}},
    "no dilation, attention": {
        "model": {"dilations": (1,) * 7},
        "patch": patched("logits_from_head", attending_logits),
        "extra": attention,
    },
    "dilation and attention": {
        "patch": patched("logits_from_head", attending_logits),
        "extra": attention,
    },
    "dropout 0.1": {"model": {"dropout": 0.1}},
    "no average of the weights": {"train": {"ema_decay": 0.0}},
    "constant rate": {"rate": constant_rate},
    "rate 2.5e-3": {"train": {"learning_rate": 2.5e-3}},
    "rate 1e-2": {"train": {"learning_rate": 1e-2}},
    "batch 8": {"train": {"batch_size": 8}},
    "batch 32": {"train": {"batch_size": 32}},
    "batch 64": {"train": {"batch_size": 64}},
    "batch 8, then 32": {"train": {"batch_size": 8}, "then": 32},
}


def make_state(variant, model, config):
    state = TrainingState(model, config)
    if "extra" in variant:
        for network in (state.model, state.ema):
            torch.manual_seed(config.seed)
            network.extra = variant["extra"]()
        parameters = dict(state.model.extra.named_parameters(prefix="extra"))
        adamw, others, _ = state._optimizers[0]
        others |= parameters
        adamw.add_param_group({"params": list(parameters.values())})
        state.ema.requires_grad_(False)
    variant.get("prepare", lambda *_: None)(state, config)
    return state


def images_in(seconds, variant, model, config, images):
    """Measure how many images a variant can see in so many seconds."""
    state = make_state(variant, model, config)
    batch = images[0][: config.batch_size].long(), images[1][: config.batch_size]
    for _ in range(2):
        train_step(state, config, *batch)  # slow at first
    started, steps = time.process_time(), 0
    while steps < 3 or time.process_time() - started < 5:
        train_step(state, config, *batch)
        steps += 1
    return int(seconds * steps * config.batch_size / (time.process_time() - started))


def run(variant, seconds, dataset, training, validation):
    """Train one variant; returns parameters, images seen, seconds and bits/dim."""
    model = replace(MODEL, **variant.get("model", {}))
    config = replace(TRAIN, dataset=dataset, **variant.get("train", {}))
    with contextlib.ExitStack() as stack:
        if "patch" in variant:
            stack.enter_context(variant["patch"]())
        if "rate" in variant:
            stack.enter_context(mock.patch.object(engine, "learning_rate", variant["rate"]))
        total = images_in(seconds, variant, model, config, training)
        if "then" in variant:
            later = replace(config, batch_size=variant["then"])
            total = (total + images_in(seconds, variant, model, later, training)) // 2
        config = replace(config, total_images=total)
        state = make_state(variant, model, config)
        started = time.process_time()
        for event in train(state, config, training, tuple(t[:1] for t in validation)):
            if "then" in variant and event.images_seen > total // 2:
                config = replace(config, batch_size=variant["then"])
                break
        for _ in train(state, config, training, tuple(t[:1] for t in validation)):
            pass
        used = time.process_time() - started
        score = evaluate(state.ema, *validation, bfloat16=state.bfloat16)
    return state.model.num_parameters, state.images_seen, used, score


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--seconds", type=float, default=100, help="of one core, for each")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--num-images", type=int, default=500, help="validation images")
    options = parser.parse_args()
    unknown = set(options.variants) - set(VARIANTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(VARIANTS)}")
    torch.set_num_threads(1)
    training = load_dataset(options.dataset, "train")
    validation = tuple(
        t[: options.num_images] for t in load_dataset(options.dataset, "validation")
    )
    print(f"{options.dataset}, {options.seconds:g} s of one core for each variant")
    print("| Variant | Parameters | Images seen | CPU | Bits/dim |\n|---|---|---|---|---|")
    for name in options.variants or VARIANTS:
        parameters, seen, used, score = run(
            VARIANTS[name], options.seconds, options.dataset, training, validation
        )
        print(f"| {name} | {parameters:,} | {seen:,} | {used:.0f} s | {score:.3f} |", flush=True)


if __name__ == "__main__":
    main()
