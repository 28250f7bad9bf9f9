"""Training: the same numbers after a stop, honest scores, and a stop at the first NaN."""

import copy
import itertools
import math
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from pixelcnn.config import TrainConfig
from pixelcnn.evaluation.likelihoods import bits_per_dim, nll_nats
from pixelcnn.models import build_model
from pixelcnn.storage import CheckpointError
from pixelcnn.training import engine, scoring
from pixelcnn.training.confusion import count_confusion, other_labels
from pixelcnn.training.engine import (
    Evaluating,
    Evaluation,
    FindingKinds,
    Progress,
    TrainingError,
    TrainingState,
    batch_indices,
    learning_rate,
    train,
    train_step,
)
from pixelcnn.training.files import load_training_state, save_training_state
from pixelcnn.training.scoring import evaluate

from .tiny import ARCHITECTURES, random_levels, tiny_config, tiny_model


def train_config(**changes):
    values = {
        "total_images": 48,
        "batch_size": 4,
        "learning_rate": 0.02,
        "warmup_fraction": 0.2,
        "label_dropout": 0.3,
        "bfloat16": False,
        "validation_images": 6,
        "evaluate_every": 20,
        "seed": 3,
    }
    return TrainConfig(**(values | changes))


def split(config, count, seed=0):
    """Images uint8 and labels as `load_dataset` returns them."""
    label = torch.arange(count) % max(config.num_classes, 1)
    return random_levels(config, count, seed).to(torch.uint8), label


def facts(event):
    """An event without its times."""
    if isinstance(event, Evaluation):
        return event
    return event.step, event.images_seen, event.loss, event.learning_rate, event.grad_norm


def without_parts(events):
    """Leave out the parts of what is repeated where a run stopped in it."""
    return (event for event in events if not isinstance(event, Evaluating | FindingKinds))


@pytest.mark.parametrize("stop_after", [1, 4])
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path, architecture, bfloat16, stop_after
):
    model_config = tiny_config(architecture, num_classes=3, dropout=0.3)
    config = train_config(bfloat16=bfloat16, label_contrast=2.0 if stop_after > 1 else 0.0)
    splits = split(model_config, 22), split(model_config, 8, seed=1)
    whole = TrainingState(model_config, config)
    wanted = [facts(event) for event in without_parts(train(whole, config, *splits))]

    state = TrainingState(model_config, config)
    events = []
    while len(events) < len(wanted):
        part = itertools.islice(without_parts(train(state, config, *splits)), stop_after)
        events += [facts(event) for event in part]
        save_training_state(tmp_path / "run.state", state, config)
        torch.manual_seed(len(events))  # whatever else the process does with random numbers
        state, config = load_training_state(tmp_path / "run.state")
    assert events == wanted
    assert sum(isinstance(event, Evaluation) for event in wanted) == 3
    tensors = state.to_tensors()
    assert tensors.keys() == whole.to_tensors().keys()
    for name, tensor in whole.to_tensors().items():
        assert torch.equal(tensor, tensors[name]), name


def test_a_run_stopped_within_an_evaluation_evaluates_again(monkeypatch):
    monkeypatch.setattr(scoring, "EVALUATION_BATCH", 3)
    model_config, config = tiny_config(), train_config(evaluate_every=20)
    splits = split(model_config, 22), split(model_config, 8, seed=1)
    whole = list(train(TrainingState(model_config, config), config, *splits))
    state = TrainingState(model_config, config)
    for event in train(state, config, *splits):
        if isinstance(event, Evaluating):
            break
    assert state.images_evaluated == 0 and 0 < event.done < 1
    again = list(train(state, config, *splits))
    assert isinstance(again[0], Evaluating)
    score = next(event for event in whole if isinstance(event, Evaluation))
    assert next(event for event in again if isinstance(event, Evaluation)) == score


def test_a_training_state_is_saved_as_the_same_bytes_again(tmp_path):
    model_config, config = tiny_config(), train_config()
    state = TrainingState(model_config, config)
    levels, label = split(model_config, 4)
    train_step(state, config, levels.long(), label)
    save_training_state(tmp_path / "one", state, config)
    loaded, loaded_config = load_training_state(tmp_path / "one")
    assert loaded_config == config and (loaded.step, loaded.images_seen) == (1, 4)
    save_training_state(tmp_path / "two", loaded, loaded_config)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_bad_training_states_are_refused(tmp_path):
    config = train_config()
    state = TrainingState(tiny_config(), config)
    levels, label = split(tiny_config(), 4)
    train_step(state, config, levels.long(), label)
    path = tmp_path / "run.state"
    save_training_state(path, state, config)
    content = path.read_bytes()
    for bad in (b"", b"garbage" * 50, content[:200], content[: len(content) // 2]):
        path.write_bytes(bad)
        with pytest.raises(CheckpointError, match="is not a readable training state"):
            load_training_state(path)
    for missing in (tmp_path / "absent", tmp_path):
        with pytest.raises(CheckpointError, match="is not a readable training state"):
            load_training_state(missing)
    save_file({"a": torch.zeros(1)}, path, {"format": "pixelcnn-checkpoint-1"})
    with pytest.raises(CheckpointError, match="format .='pixelcnn-checkpoint-1'. is not"):
        load_training_state(path)


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("counts", None),
        ("model.row_bias", None),
        ("ema.row_bias", torch.zeros(2)),
        ("optimizer.row_bias.exp_avg", None),
        ("optimizer.row_bias.exp_avg", torch.zeros(2)),
    ],
)
def test_training_states_with_wrong_tensors_are_refused(tmp_path, name, replacement):
    config = train_config()
    state = TrainingState(tiny_config(), config)
    levels, label = split(tiny_config(), 4)
    train_step(state, config, levels.long(), label)
    tensors = state.to_tensors()
    del tensors[name]
    if replacement is not None:
        tensors[name] = replacement
    with pytest.raises(TrainingError, match="training state does not fit this run"):
        TrainingState(tiny_config(), config).load_tensors(tensors)


def test_learning_rate_rises_linearly_then_falls_as_a_cosine_to_zero():
    config = TrainConfig(learning_rate=0.4, warmup_fraction=0.25)
    rates = [learning_rate(config, i / 100) for i in range(101)]
    for i in range(26):
        assert rates[i] == pytest.approx(0.4 * i / 25)
    for i in range(25, 101):
        assert rates[i] == pytest.approx(0.2 * (1 + math.cos(math.pi * (i - 25) / 75)))
    assert max(rates) == rates[25] and rates[100] == 0
    assert learning_rate(config, 1.3) == 0  # a last batch that goes beyond the end


@pytest.mark.parametrize("warmup_fraction", [0.0, 1.0])
def test_learning_rate_is_defined_without_warmup_and_without_decay(warmup_fraction):
    config = TrainConfig(learning_rate=0.4, warmup_fraction=warmup_fraction)
    rates = [learning_rate(config, i / 10) for i in range(11)]
    assert max(rates) == pytest.approx(0.4) and all(0 <= rate <= 0.4 for rate in rates)


def test_average_weights_follow_the_training_weights():
    config = train_config(ema_decay=0.5)
    state = TrainingState(tiny_config(), config)
    average = {k: v.clone() for k, v in state.ema.state_dict().items()}
    levels, label = split(tiny_config(), 4)
    for step in range(1, 8):
        train_step(state, config, levels.long(), label)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, weight in state.model.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * weight
            torch.testing.assert_close(state.ema.state_dict()[name], average[name])
    assert not any(p.requires_grad for p in state.ema.parameters())
    assert not state.ema.training


def test_weights_change_by_training_and_masked_ones_never_act():
    config = train_config()
    state = TrainingState(tiny_config(num_classes=2), config)
    before = {k: v.clone() for k, v in state.model.state_dict().items()}
    levels, label = split(state.model.config, 4)
    for _ in range(3):
        train_step(state, config, levels.long(), label)
    after = state.model.state_dict()
    assert not [k for k in before if torch.equal(before[k], after[k])]
    layer = state.model.first_horizontal
    assert not layer.masked_weight()[layer.mask == 0].any()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_are_hidden_as_often_as_asked(share):
    model = build_model(tiny_config(num_classes=2))
    torch.manual_seed(0)
    label = torch.arange(4000) % 2
    seen = engine._hide_labels(model, label, share)
    hidden = seen == 2
    assert torch.equal(seen[~hidden], label[~hidden])
    assert abs(hidden.double().mean().item() - share) <= 4 * math.sqrt(share * (1 - share) / 4000)
    assert engine._hide_labels(build_model(tiny_config()), label, share) is None


def test_every_image_is_seen_once_in_an_epoch_and_the_order_changes():
    config = train_config(batch_size=4)
    epochs = [
        torch.cat([batch_indices(20, epoch * 20 + 4 * i, config) for i in range(5)])
        for epoch in range(3)
    ]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(20))
    assert not torch.equal(epochs[0], epochs[1])
    other = train_config(batch_size=4, seed=4)
    assert not torch.equal(batch_indices(20, 0, config), batch_indices(20, 0, other))


def test_batches_larger_than_the_data_set_are_cut():
    assert len(batch_indices(3, 0, train_config(batch_size=16))) == 3


def test_steps_images_and_evaluations_are_counted():
    model_config = tiny_config(num_classes=2)
    config = train_config(total_images=50, batch_size=8, evaluate_every=16)
    state = TrainingState(model_config, config)
    events = list(train(state, config, split(model_config, 24), split(model_config, 10)))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in steps] == list(range(1, 8))
    assert [event.images_seen for event in steps] == list(range(8, 57, 8))
    scores = [event for event in events if isinstance(event, Evaluation)]
    assert [event.images_seen for event in scores] == [16, 32, 48, 56]
    assert isinstance(events[-1], Evaluation)
    assert steps[-1].seconds_left <= 0
    assert all(event.images_per_second > 0 for event in steps)
    assert list(train(state, config, split(model_config, 24), split(model_config, 10))) == []


def test_evaluation_is_the_mean_bits_per_dim_of_the_validation_images():
    model = tiny_model(num_classes=2, dtype=torch.float32)
    levels, label = split(model.config, 7)
    wanted = bits_per_dim(model, levels.long(), label).mean().item()
    for batch_size in (1, 3, 50):
        assert evaluate(model, levels, label, batch_size=batch_size) == pytest.approx(wanted)


def test_the_reported_loss_is_bits_per_dim_before_the_update():
    config = train_config(label_dropout=0.0)
    state = TrainingState(tiny_config(num_classes=2), config)
    levels, label = split(state.model.config, 4)
    wanted = bits_per_dim(state.model, levels.long(), label).mean().item()
    loss, norm, rate = train_step(state, config, levels.long(), label)
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert norm > 0 and rate == learning_rate(config, 4 / 48)


def test_label_contrast_adds_the_bits_by_which_a_class_is_told_from_another():
    """The gradient is that of the sum, over images with a label; the loss is the first term."""
    config = train_config(label_contrast=5.0, label_dropout=0.5, seed=4)
    state = TrainingState(tiny_config(num_classes=3, num_features=12), config)
    for table in (p for name, p in state.model.named_parameters() if "condition" in name):
        torch.nn.init.normal_(table, generator=torch.Generator().manual_seed(1))
    levels, label = split(state.model.config, 8)
    model, levels = copy.deepcopy(state.model), levels.long()
    torch.manual_seed(4 * 1_000_003)  # as the first step
    other = other_labels(state.confusion, label)
    told = torch.where(torch.rand(8) < 0.5, 3, label)
    assert 0 < (told < 3).sum() < 8 and (other != label).all()
    right, wrong = (
        nll_nats(model(levels, of), levels).flatten(1).sum(1).double() for of in (told, other)
    )
    lost = -torch.log(torch.exp(-right) / (torch.exp(-right) + torch.exp(-wrong)))
    total = (right.sum() + 5.0 * lost[told < 3].sum()) / (8 * 30 * math.log(2))
    total.backward()
    wanted = torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])
    loss, norm, _ = train_step(state, config, levels, label)
    assert loss == pytest.approx(right.sum().item() / (8 * 30 * math.log(2)), rel=1e-5)
    assert norm == pytest.approx(wanted.item(), rel=1e-4)
    tried, mistaken = torch.zeros(2, 3, 3)
    for one, another, how in zip(told, other, 1 - torch.exp(-lost.detach()), strict=True):
        if one < 3:
            tried[one, another] += 1
            mistaken[one, another] += how
    torch.testing.assert_close(state.confusion, torch.stack([tried, mistaken]))


def test_a_training_state_of_before_confused_classes_were_counted_goes_on():
    config, model = train_config(label_contrast=2.0), tiny_config(num_classes=3)
    state = TrainingState(model, config)
    levels, label = split(model, 4)
    train_step(state, config, levels.long(), label)
    tensors = state.to_tensors()
    assert tensors.pop("confusion").any()
    again = TrainingState(model, config)
    again.load_tensors(tensors)
    assert again.step == 1 and not again.confusion.any()
    with pytest.raises(TrainingError, match="confusion has another shape"):
        again.load_tensors(tensors | {"confusion": torch.zeros(())})


def test_the_other_class_is_the_one_that_a_class_is_taken_for_and_each_at_times():
    confusion = torch.zeros(2, 4, 4)
    mistaken = torch.tensor([0.75, 0.01])
    for _ in range(5000):  # 0 is compared with 1 and with 2
        count_confusion(confusion, torch.tensor([[0, 0], [1, 2]]), mistaken)
    assert confusion[1, 0, 1] / confusion[0, 0, 1] == pytest.approx(0.75, rel=0.01)
    confusion[:, 0, 3] = confusion[:, 0, 2]
    other = other_labels(confusion, torch.zeros(10_000, dtype=torch.int64))
    share = torch.bincount(other, minlength=4) / 10_000
    assert share[0] == 0 and share[1] > 0.9 and share[2:].min() > 0.005
    other = other_labels(confusion, torch.full((10_000,), 3))
    assert torch.bincount(other, minlength=4)[3] == 0
    assert torch.bincount(other)[:3].float().std() < 150  # nothing is known of class 3


@pytest.mark.parametrize("classes", [0, 1])
def test_label_contrast_needs_two_classes(classes):
    rule = re.escape(f"`label_contrast` (=2.0) must be 0 with num_classes (={classes})")
    with pytest.raises(ValueError, match=rule):
        TrainingState(tiny_config(num_classes=classes), train_config(label_contrast=2.0))


def test_a_configuration_of_before_label_contrast_has_none_of_it():
    values = train_config().to_dict()
    del values["label_contrast"]
    assert TrainConfig.from_dict(values) == train_config()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("contrast", [0.0, 2.0])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(value, contrast):
    config, model = train_config(label_contrast=contrast), tiny_config(num_classes=3)
    state = TrainingState(model, config)
    images = split(model, 20)
    events = train(state, config, images, images)
    for _ in range(3):
        next(events)
    state.model.head[1].bias.data.fill_(value)
    before = {k: v.clone() for k, v in state.to_tensors().items()}
    with pytest.raises(TrainingError, match=r"loss is \w+ at step 3: training stopped"):
        next(events)
    for name, tensor in state.to_tensors().items():  # the failed step changed nothing
        assert torch.equal(tensor, before[name]) or "head.1.bias" in name


def test_a_gradient_that_is_no_number_stops_the_run(monkeypatch):
    config = train_config()
    state = TrainingState(tiny_config(), config)
    levels, label = split(tiny_config(), 4)
    state.model.row_bias.register_hook(lambda gradient: gradient * math.nan)
    before = state.model.row_bias.clone()
    with pytest.raises(TrainingError, match=re.escape("gradient is nan at step 0")):
        train_step(state, config, levels.long(), label)
    assert torch.equal(state.model.row_bias, before)


def test_training_leaves_the_global_random_numbers_alone():
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    config = train_config()
    state = TrainingState(tiny_config(num_classes=2, dropout=0.5), config)
    levels, label = split(state.model.config, 4)
    train_step(state, config, levels.long(), label)
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
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


def test_state_tensors_can_be_read_by_any_safetensors_program(tmp_path):
    config = train_config()
    save_training_state(tmp_path / "s", TrainingState(tiny_config(), config), config)
    assert load_file(tmp_path / "s")["counts"].tolist() == [0, 0, 0]
