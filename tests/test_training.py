"""Training: the same numbers after a stop, honest scores, and a stop at the first NaN."""

import copy
import itertools
import math

import pytest
import torch
from safetensors.torch import save_file

from pixelcnn.config import TrainConfig
from pixelcnn.evaluation.likelihoods import bits_per_dim, nll_nats
from pixelcnn.storage import CheckpointError
from pixelcnn.training import scoring
from pixelcnn.training import state as state_module
from pixelcnn.training.devices import DEVICES, bfloat16_works, choose_device
from pixelcnn.training.engine import (
    Evaluating,
    Evaluation,
    Progress,
    batch_indices,
    count_confusion,
    learning_rate,
    other_labels,
    train,
    train_step,
)
from pixelcnn.training.scoring import evaluate
from pixelcnn.training.state import (
    TrainingError,
    TrainingState,
    load_training_state,
    save_training_state,
)

from .tiny import (
    ARCHITECTURES,
    CONVOLUTIONAL,
    TRAINED_WHOLE,
    random_levels,
    randomize,
    tiny_config,
)


def train_config(**changes):
    values = {"total_images": 48, "batch_size": 4, "evaluate_every": 20, "validation_images": 6}
    values |= {"learning_rate": 0.02, "warmup_fraction": 0.2, "label_dropout": 0.3}
    return TrainConfig(**(values | {"bfloat16": False, "seed": 3} | changes))


def split(config, count, seed=0):
    """Images uint8 and labels as `load_dataset` returns them."""
    label = torch.arange(count) % max(config.num_classes, 1)
    return random_levels(config, count, seed).to(torch.uint8), label


def step(state, config, count=4):
    """One update with the first images."""
    levels, label = split(state.model.config, count)
    return train_step(state, config, levels.long(), label)


def trained_once(config=None, **changes):
    """A state after one update, and its configuration."""
    config = config or train_config()
    state = TrainingState(tiny_config(**changes), config)
    step(state, config)
    return state, config


def facts(events):
    """Leave out times, and the parts of evaluations, which are repeated where a run stopped."""
    for event in events:
        if isinstance(event, Progress):
            yield event.step, event.images_seen, event.loss, event.learning_rate, event.grad_norm
        elif isinstance(event, Evaluation):
            yield event


@pytest.mark.parametrize(
    ("architecture", "stop_after", "bfloat16", "contrast"),
    [
        ("gated", 1, False, 0.0),
        ("gated", 4, True, 0.0),
        *((architecture, 3, False, 2.0) for architecture in ARCHITECTURES),
    ],
)
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, architecture, bfloat16, stop_after, contrast
):
    model_config = tiny_config(architecture, num_classes=3, dropout=0.3)
    more = {"label_contrast": contrast}
    if architecture not in TRAINED_WHOLE:  # first the encoder alone, then all
        more = {"encoder_images": 16}
    config = train_config(bfloat16=bfloat16, **more)
    splits = split(model_config, 22), split(model_config, 8, seed=1)
    whole = TrainingState(model_config, config)
    wanted = list(facts(train(whole, config, *splits)))
    state, events = TrainingState(model_config, config), []
    while len(events) < len(wanted):
        events += itertools.islice(facts(train(state, config, *splits)), stop_after)
        save_training_state(tmp_path / "run", state, config)
        torch.manual_seed(len(events))  # the process may draw other random numbers
        state, config = load_training_state(tmp_path / "run")
    assert events == wanted
    assert sum(isinstance(event, Evaluation) for event in wanted) == 3
    save_training_state(tmp_path / "whole", whole, config)
    save_training_state(tmp_path / "again", state, config)
    files = {(tmp_path / name).read_bytes() for name in ("run", "whole", "again")}
    assert len(files) == 1


def test_a_run_stopped_within_an_evaluation_evaluates_again():
    model_config, config = tiny_config(), train_config(validation_images=60)
    splits = split(model_config, 22), split(model_config, 60, seed=1)
    wanted = list(facts(train(TrainingState(model_config, config), config, *splits)))
    state = TrainingState(model_config, config)
    events = train(state, config, *splits)
    part = next(event for event in events if isinstance(event, Evaluating))
    assert state.images_evaluated == 0 and 0 < part.done < 1
    assert list(facts(train(state, config, *splits))) == wanted[5:]


def test_bad_training_states_are_refused(tmp_path):
    path = tmp_path / "run.state"
    save_training_state(path, *trained_once())
    content = path.read_bytes()
    files = {"half": content[: len(content) // 2], "head": content[:200], "none": b""}
    for name, bad in (files | {"other": b"garbage" * 50}).items():
        (tmp_path / name).write_bytes(bad)
    for name in (*files, "other", "absent", ""):
        with pytest.raises(CheckpointError, match="is not a readable training state"):
            load_training_state(tmp_path / name)
    save_file({"a": torch.zeros(1)}, path, {"format": "pixelcnn-checkpoint-1"})
    with pytest.raises(CheckpointError, match="format .='pixelcnn-checkpoint-1'. is not"):
        load_training_state(path)


@pytest.mark.parametrize("wrong", [None, torch.zeros(2)])
@pytest.mark.parametrize("name", ["counts", "model", "ema", "exp_avg", "momentum_buffer"])
def test_training_states_with_wrong_tensors_are_refused(name, wrong):
    state, config = trained_once()
    tensors = state.to_tensors()
    del tensors[key := next(k for k in tensors if k.startswith(name) or k.endswith(name))]
    tensors |= {} if wrong is None else {key: wrong}
    with pytest.raises(TrainingError, match="training state does not fit this run"):
        TrainingState(tiny_config(), config).load_tensors(tensors)


@pytest.mark.parametrize("warmup", [0.0, 0.25, 1.0])
def test_learning_rate_rises_linearly_then_falls_as_a_cosine_to_zero(warmup):
    config = TrainConfig(learning_rate=0.4, warmup_fraction=warmup)
    rates = [learning_rate(config, i / 100) for i in range(131)]  # a last batch goes beyond 100
    top = round(100 * warmup)
    assert rates[:top] == pytest.approx([0.4 * i / top for i in range(top)])
    decay = [min(1, (i - top) / max(100 - top, 1)) for i in range(top, 131)]
    falls = [0.2 * (1 + math.cos(math.pi * share)) for share in decay]
    assert rates[top:] == pytest.approx(falls, abs=1e-9)


@pytest.mark.parametrize("total", [5, 7, 14, 15])
def test_every_update_learns_something(total):
    config = train_config(total_images=total, warmup_fraction=0.0)
    state = TrainingState(tiny_config(num_classes=2), config)
    while state.images_seen < total:
        assert step(state, config, 7)[2] > 0


def test_average_weights_follow_the_training_weights():
    config = train_config(ema_decay=0.5)
    state = TrainingState(tiny_config(), config)
    average = {k: v.clone() for k, v in state.ema.state_dict().items()}
    for number in range(1, 8):
        step(state, config)
        decay = min(0.5, (1 + number) / (10 + number))
        for name, weight in state.model.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * weight
            torch.testing.assert_close(state.ema.state_dict()[name], average[name])
    assert not any(p.requires_grad for p in state.ema.parameters())
    assert not state.ema.training


@pytest.mark.parametrize("architecture", TRAINED_WHOLE)
def test_every_weight_changes_by_training(architecture):
    config = train_config(label_dropout=0.0)
    state = TrainingState(tiny_config(architecture, num_classes=2), config)
    before = copy.deepcopy(state.model.state_dict())
    for _ in range(3):
        step(state, config)
    after = state.model.state_dict()
    assert not [k for k in before if torch.equal(before[k], after[k])]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_are_hidden_as_often_as_asked(share):
    config = train_config(label_dropout=share)
    state = TrainingState(tiny_config(num_classes=2), config)
    seen = []
    state.model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    step(state, config, 1000)
    hidden = seen[0] == 2
    assert torch.equal(seen[0][~hidden], (torch.arange(1000) % 2)[~hidden])
    assert abs(hidden.double().mean().item() - share) <= 4 * math.sqrt(share * (1 - share) / 1000)


def test_every_image_is_seen_once_in_an_epoch_and_the_order_changes():
    config = train_config(batch_size=4)
    seen = torch.cat([batch_indices(20, 4 * i, config) for i in range(15)]).view(3, 20)
    assert torch.equal(seen.sort().values, torch.arange(20).expand(3, 20))
    assert not torch.equal(seen[0], seen[1])
    other = train_config(batch_size=4, seed=4)
    assert not torch.equal(batch_indices(20, 0, config), batch_indices(20, 0, other))
    assert len(batch_indices(3, 0, train_config(batch_size=16))) == 3


def test_steps_images_and_evaluations_are_counted():
    model_config = tiny_config(num_classes=2)
    config = train_config(total_images=50, batch_size=8, evaluate_every=16)
    state = TrainingState(model_config, config)
    events = list(train(state, config, split(model_config, 24), split(model_config, 10)))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [(event.step, event.images_seen) for event in steps] == [
        (i, 8 * i) for i in range(1, 8)
    ]
    scores = [event for event in events if isinstance(event, Evaluation)]
    assert [event.images_seen for event in scores] == [16, 32, 48, 56]
    assert isinstance(events[-1], Evaluation) and steps[-1].seconds_left <= 0
    assert all(event.images_per_second > 0 for event in steps)
    assert list(train(state, config, split(model_config, 24), split(model_config, 10))) == []


@pytest.mark.parametrize("architecture", TRAINED_WHOLE)
def test_scores_and_losses_are_the_mean_bits_per_dim_before_the_update(architecture, monkeypatch):
    config = train_config(label_dropout=0.0)
    state = TrainingState(tiny_config(architecture, num_classes=2), config)
    levels, label = split(state.model.config, 7)
    wanted = bits_per_dim(state.model, levels.long(), label).mean().item()
    for batch in (1, 3, 50):
        monkeypatch.setattr(scoring, "BATCH_IMAGES", batch)
        assert evaluate(state.ema, levels, label) == pytest.approx(wanted, rel=1e-5)
    loss, norm, rate = step(state, config, 7)
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert norm > 0 and rate == learning_rate(config, 7 / 2 / 48)


@pytest.mark.parametrize("architecture", TRAINED_WHOLE)
def test_label_contrast_adds_the_bits_that_distinguish_a_class_from_another(architecture):
    """The gradient is that of the sum, over images with a label; the loss is the first term."""
    config = train_config(label_contrast=5.0, label_dropout=0.5, seed=4)
    state = TrainingState(tiny_config(architecture, num_classes=3), config)
    randomize(state.model).requires_grad_(True)
    levels, label = split(state.model.config, 8)
    model, levels = copy.deepcopy(state.model), levels.long()
    torch.manual_seed(4 * 1_000_003)  # as the first step
    other = other_labels(state.confusion, label)
    given = torch.where(torch.rand(8) < 0.5, 3, label)
    assert 0 < (given < 3).sum() < 8 and (other != label).all()
    right, wrong = (
        nll_nats(model(levels, of), levels).flatten(1).sum(1).double() for of in (given, other)
    )
    lost = -torch.log(torch.exp(-right) / (torch.exp(-right) + torch.exp(-wrong)))
    total = (right.sum() + 5.0 * lost[given < 3].sum()) / (8 * 30 * math.log(2))
    total.backward()
    wanted = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    loss, norm, _ = train_step(state, config, levels, label)
    assert loss == pytest.approx(right.sum().item() / (8 * 30 * math.log(2)), rel=1e-5)
    assert norm == pytest.approx(wanted.item(), rel=1e-4)
    tried, mistaken = torch.zeros(2, 3, 3)
    for one, another, how in zip(given, other, 1 - torch.exp(-lost.detach()), strict=True):
        if one < 3:
            tried[one, another] += 1
            mistaken[one, another] += how
    torch.testing.assert_close(state.confusion, torch.stack([tried, mistaken]))


def test_files_of_before_label_contrast_can_be_read():
    values = train_config().to_dict()
    del values["label_contrast"]
    assert TrainConfig.from_dict(values) == train_config()
    state, config = trained_once(train_config(label_contrast=2.0), num_classes=3)
    tensors = state.to_tensors()
    assert tensors.pop("confusion").any()
    again = TrainingState(state.model.config, config)
    again.load_tensors(tensors)
    assert again.step == 1 and not again.confusion.any()
    with pytest.raises(TrainingError, match="confusion has another shape"):
        again.load_tensors(tensors | {"confusion": torch.zeros(())})


def test_the_other_class_is_the_one_that_a_class_is_mistaken_for_and_each_at_times():
    confusion = torch.zeros(2, 4, 4)
    mistaken = torch.tensor([0.75, 0.01])
    for _ in range(5000):  # 0 is compared with 1 and with 2
        count_confusion(confusion, torch.tensor([[0, 0], [1, 2]]), mistaken)
    assert confusion[1, 0, 1] / confusion[0, 0, 1] == pytest.approx(0.75, rel=0.01)
    confusion[:, 0, 3] = confusion[:, 0, 2]
    torch.manual_seed(0)
    other = other_labels(confusion, torch.zeros(10_000, dtype=torch.int64))
    share = torch.bincount(other, minlength=4) / 10_000
    assert share[0] == 0 and share[1] > 0.9 and share[2:].min() > 0.005
    other = other_labels(confusion, torch.full((10_000,), 3))
    assert torch.bincount(other, minlength=4)[3] == 0
    assert torch.bincount(other)[:3].float().std() < 150  # nothing is known of class 3


@pytest.mark.parametrize("classes", [0, 1])
def test_label_contrast_needs_two_classes(classes):
    rule = rf"`label_contrast` .=2.0. must be 0 with num_classes .={classes}."
    with pytest.raises(ValueError, match=rule):
        TrainingState(tiny_config(num_classes=classes), train_config(label_contrast=2.0))


@pytest.mark.parametrize("architecture", TRAINED_WHOLE)
@pytest.mark.parametrize("contrast", [0.0, 2.0])
@pytest.mark.parametrize("what", ["loss is nan", "loss is inf", "gradient is nan"])
def test_what_is_no_number_stops_the_run_changes_nothing_and_names_the_step(
    architecture, contrast, what
):
    config, model = train_config(label_contrast=contrast), tiny_config(architecture, num_classes=3)
    state = TrainingState(model, config)
    step(state, config)
    bias = state.model.last_layer.bias
    if what == "gradient is nan":
        bias.register_hook(lambda gradient: gradient * math.nan)
    else:
        bias.data[0] = math.nan if "nan" in what else -math.inf
    before = {k: v.clone() for k, v in state.to_tensors().items()}
    with pytest.raises(TrainingError, match=f"{what} at step 1: training stopped"):
        step(state, config)
    torch.testing.assert_close(state.to_tensors(), before, rtol=0, atol=0, equal_nan=True)


def test_training_leaves_the_global_random_numbers_alone():
    before = torch.get_rng_state()
    trained_once(num_classes=2, dropout=0.5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("architecture", sorted(set(CONVOLUTIONAL) & set(TRAINED_WHOLE)))
def test_a_tiny_model_learns_stripes_and_which_label_means_which(architecture):
    model_config = tiny_config(architecture, num_classes=2, num_features=12, head_features=12)
    label = torch.arange(40) % 2
    phase = (label + torch.arange(40) // 2)[:, None, None]  # the label fixes the first column
    columns = torch.arange(6)[None, None, :]
    levels = (3 * ((columns + phase) % 2)).expand(40, 5, 6)[:, None].to(torch.uint8)
    levels[:, :, 0] = (3 * label[:, None, None]).to(torch.uint8)
    config = train_config(
        total_images=960, batch_size=8, evaluate_every=960, ema_decay=0.9, label_dropout=0.1
    )
    state = TrainingState(model_config, config)
    events = list(train(state, config, (levels, label), (levels, label)))
    assert events[0].loss > 1.5  # near the 2 bits of four equally probable levels
    # One bit for the second row's phase of 30 dimensions is all that cannot be known.
    assert events[-1].bits_per_dim < 0.3
    swapped = evaluate(state.ema, levels, 1 - label)
    assert swapped > events[-1].bits_per_dim + 0.1


def test_devices_are_named_and_must_be_there():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in DEVICES
    with pytest.raises(ValueError, match=r"`device` \(='tpu'\) must be one of auto, cpu"):
        choose_device("tpu")
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match=r"`device` \(='mps'\) is not there"):
            choose_device("mps")


def test_bfloat16_is_left_out_where_it_is_slow(monkeypatch):
    assert isinstance(bfloat16_works(torch.device("cpu")), bool)
    for works in (False, True):
        monkeypatch.setattr(state_module, "bfloat16_works", lambda _, works=works: works)
        assert TrainingState(tiny_config(), train_config(bfloat16=True)).bfloat16 == works
