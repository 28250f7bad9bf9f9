"""Completions while they are drawn: the same as the library's, at every moment consistent."""

import numpy as np
import pytest
import torch

from pixelcnn.completion import ClassPosterior, complete, late_pixels, log_prob, occlusion
from pixelcnn.config import SamplingRule
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.sampling import sample
from pixelcnn.ui.complete import methods, outcome
from pixelcnn.ui.complete.posterior import PosteriorJob
from pixelcnn.ui.complete.run import CompletionRun, Wish
from pixelcnn.ui.complete.sketch import given
from pixelcnn.ui.drawing import Drawing, Subject
from pixelcnn.ui.wire import decode

from .tiny import tiny_model
from .tiny_completion import MODEL, NAMES, SIDE, SIDES, finish, new_run, sketch_of

METHODS = ("prefix", "clamping", "particles")


@pytest.mark.parametrize(
    ("method", "left", "model"),
    [
        ("prefix", "upper-half", MODEL),
        ("prefix", "lower-half", SIDES),
        ("prefix", "right-half", SIDES),
        ("clamping", "around-box", MODEL),
        ("particles", "around-box", MODEL),
        ("particles", "lower-half", MODEL),
    ],
)
def test_a_run_ends_with_what_the_library_gives(method, left, model):
    rule = SamplingRule(temperature=0.8)
    run = finish(new_run(method, left, model, seed=3, label=1, rule=rule))
    sketch = run.sketch
    expected = complete(
        model,
        sketch.levels,
        sketch.known_tensor,
        method=method,
        num_images=5,
        num_particles=16,
        seed=3,
        rule=rule,
        label=1,
    )
    assert np.array_equal(run.levels(), expected.levels[0, :, 0])
    assert run.bits() == pytest.approx((-expected.log_prob[0] / np.log(2)).tolist())
    assert run.order == int(expected.order[0])


@pytest.mark.parametrize("method", METHODS)
def test_known_pixels_are_as_given_at_every_moment(method):
    run = new_run(method, "upper-half" if method == "prefix" else "every-other-row")
    known = run.sketch.known
    while not run.done:
        assert (run.levels()[:, known] == run.sketch.level[known]).all()
        run.draw(0)
    assert (run.levels()[:, known] == run.sketch.level[known]).all()


def test_pixels_appear_in_the_order_of_the_scan():
    run = new_run("prefix", "lower-half", SIDES)
    assert ORDER_NAMES[run.order].startswith("rows from the bottom")
    drawn = []
    while not run.done:
        before = run.count
        run.draw(0)
        drawn += range(before, run.count)
    assert drawn == list(range(run.steps))
    assert sorted(run.pixels) == list(range(SIDE * SIDE)) and run.first == SIDE * SIDE // 2
    assert not run.sketch.known.flatten()[run.pixels[run.first :]].any()


def test_a_scan_ends_with_the_last_unknown_pixel_unless_there_is_a_tolerance():
    run = new_run("clamping", "around-box")
    unknown = np.flatnonzero(~run.sketch.known)
    assert run.steps == unknown[-1] + 1 and run.pixels[run.first] == unknown[0]
    assert new_run("particles", "around-box", tolerance=0.5).steps == SIDE * SIDE


def message(run, **request):
    request = {"of": run.run, "serial": run.serial} | request
    return decode(run.answer_pull(request["of"], request["serial"]))


@pytest.mark.parametrize("method", METHODS)
def test_messages_hold_all_that_is_drawn(method):
    run = new_run(method, "upper-half" if method == "prefix" else "around-box")
    head, _ = decode(run.message())
    assert (head["height"], head["width"], head["num_images"]) == (SIDE, SIDE, 5)
    assert head["bits"] is None and not head["done"]
    for _ in range(500):
        head, arrays = message(run)
        levels = arrays["level"].reshape(5, SIDE, SIDE)
        assert np.array_equal(levels, run.levels())
        np.testing.assert_allclose(arrays["mean"], levels.mean(0).ravel(), rtol=1e-5)
        np.testing.assert_allclose(arrays["deviation"], levels.std(0).ravel(), atol=1e-5)
        assert len(arrays["ess"]) == len(arrays["ancestors"])
        assert len(arrays["ess"]) == (head["count"] if method == "particles" else 0)
        if head["done"]:
            break
    assert head["count"] == head["steps"] and len(head["bits"]) == 5
    assert head["particles"] == (16 if method == "particles" else 0)
    if method == "particles":
        assert ((arrays["ess"] >= 1 - 1e-6) & (arrays["ess"] <= 16 + 1e-6)).all()
        assert (np.diff(arrays["ancestors"].astype(int)) <= 0).all()


def test_a_repeated_pull_draws_nothing_and_a_new_one_goes_on(monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.complete.run.SECONDS_PER_ANSWER", 0)
    run = new_run("particles", "around-box")
    first, _ = message(run)
    count = run.count
    again, _ = message(run, serial=first["serial"] - 1)
    assert again["count"] == count and again["serial"] > first["serial"]
    other, _ = message(run, of="another")
    assert other["count"] == count
    assert message(run)[0]["count"] == count + 1


def test_an_answer_waits_for_a_few_pictures_through_the_network_at_most(monkeypatch):
    passes = []
    nll = log_prob.nll_nats
    monkeypatch.setattr(
        log_prob,
        "nll_nats",
        lambda logits, levels: passes.append(len(levels)) or nll(logits, levels),
    )
    run = new_run("particles", "lower-half", num_particles=32)
    most = 0
    while not run.done:
        before = len(passes)
        run.draw(0)
        most = max(most, len(passes) - before)
    assert most == 1 and max(passes) <= 4 and len(passes) > 8


def test_an_impossible_method_says_why():
    with pytest.raises(ValueError, match="come after an unknown one"):
        new_run("prefix", "lower-half")
    with pytest.raises(ValueError, match="no pixel of drawing 0 is known"):
        nothing = given(np.zeros((SIDE, SIDE)), 4).covered(np.zeros((SIDE, SIDE), bool))
        CompletionRun(MODEL, nothing, Wish("tiny", "prefix"))


@pytest.mark.parametrize(
    ("method", "left", "model", "forced"),
    [
        ("prefix", "upper-half", MODEL, SIDE * SIDE // 2),
        ("clamping", "every-other-row", MODEL, SIDE * SIDE // 2),
        ("prefix", "lower-half", SIDES, SIDE * SIDE),
        ("particles", "around-box", MODEL, SIDE * SIDE),
    ],
)
def test_the_generate_page_draws_the_same_picture(method, left, model, forced):
    rule = SamplingRule(temperature=0.7)
    run = finish(new_run(method, left, model, seed=9, label=2, rule=rule))
    for image in range(5):
        history = run.history(image)
        assert len(history.forced) == forced and history.last_rule == rule
        subject = Subject("tiny", seed=9, image=image, label=2)
        dependency = np.zeros((SIDE * SIDE, 5), np.uint8)
        drawing = Drawing(model, dependency, subject, history, [""])
        drawing.current.draw(SIDE * SIDE, float("inf"))
        assert np.array_equal(drawing.current.levels()[0, 0], run.levels()[image])


# --- the class -----------------------------------------------------------------------------------


def inferred_run(method="prefix", left="upper-half", **wish):
    sketch = sketch_of(left)
    job = PosteriorJob(MODEL, sketch, 0.0, 0)
    wish = Wish("tiny", method, num_images=7, num_particles=24, inferred=True, **wish)
    return CompletionRun(MODEL, sketch, wish, NAMES, job)


@pytest.mark.parametrize(
    ("method", "left"), [("prefix", "upper-half"), ("particles", "around-box")]
)
def test_inferred_classes_follow_the_posterior(method, left):
    run = finish(inferred_run(method, left))
    job = run.posterior
    assert run.labels == job.labels(7, seed=0) == sorted(run.labels)
    counts = [np.bincount(job.labels(7, seed), minlength=3) for seed in range(2000)]
    probabilities = job.newest.probabilities.numpy()
    np.testing.assert_allclose(np.mean(counts, 0) / 7, probabilities, atol=0.02)
    # Independent: as different from time to time as draws with replacement are.
    np.testing.assert_allclose(
        np.var(counts, 0), 7 * probabilities * (1 - probabilities), rtol=0.2
    )
    assert [run.class_name(i) for i in range(7)] == [NAMES[label] for label in run.labels]
    assert run.levels().shape == (7, SIDE, SIDE)
    if method == "prefix":  # every completion is the one that its class alone would give
        for image, label in enumerate(run.labels):
            alone = complete(
                MODEL, run.sketch.levels, run.sketch.known_tensor, method="prefix", label=label,
                first_image=image,
            )  # fmt: skip
            assert np.array_equal(run.levels()[image], alone.levels[0, 0, 0])


def test_while_classes_are_inferred_the_sheet_says_so():
    run = inferred_run("particles", "around-box")
    head, arrays = decode(run.message())
    assert "inferring the class" in head["waiting"] and head["count"] == 0
    assert np.array_equal(arrays["level"].reshape(7, -1)[0], run.sketch.levels.flatten())
    assert not decode(finish(run).message())[0]["waiting"]


def test_a_stopped_posterior_ends_the_completions_with_a_message():
    run = inferred_run("particles", "around-box")
    run.posterior.cancel()
    run.posterior.wait(60)
    if not run.posterior.done:
        with pytest.raises(ValueError, match="was stopped"):
            run.draw(0)


def test_the_job_computes_every_class_and_shows_how_far_the_clouds_differ():
    job = PosteriorJob(MODEL, sketch_of("around-box"), 0.0, 0)
    job.wait(60)
    assert job.done and not job.running and not job.newest.is_exact and job.classes_done == 3
    (shown,) = outcome.posterior_chart(job, NAMES).data
    relative = job.newest.cloud_log_evidence - job.newest.log_evidence.max()
    assert list(shown.y) == list(NAMES)
    np.testing.assert_allclose(
        shown.x + shown.error_x.array, relative.max(1).values / np.log(2), atol=1e-9
    )
    np.testing.assert_allclose(
        shown.x - shown.error_x.arrayminus, relative.min(1).values / np.log(2), atol=1e-9
    )
    text = outcome.posterior_text(job, NAMES)
    assert "rough estimate" in text and "4 independent clouds" in text
    assert ("not settled" in text) == bool(job.newest.rivals)


def test_a_ranking_within_the_difference_of_clouds_is_said_to_be_open():
    job = PosteriorJob(MODEL, sketch_of("around-box"), 0.0, 0)
    job.wait(60)
    for behind, settled in ((100.0, True), (0.5, False)):
        clouds = torch.tensor([[-10.0, -11.0], [-10 - behind, -11 - behind], [-999, -999]])
        mean = clouds.double().logsumexp(1) - np.log(2)
        job.newest = ClassPosterior(mean, clouds.double(), 0, is_exact=False)
        text = outcome.posterior_text(job, NAMES)
        assert ("may also be two." in text) != settled
        assert ("more than the clouds differ" in text) == settled


def test_an_exact_posterior_is_drawn_as_bars():
    job = PosteriorJob(MODEL, sketch_of(), 0.0, 0)
    job.wait(60)
    assert "Exact" in outcome.posterior_text(job, NAMES)
    (shown,) = outcome.posterior_chart(job, NAMES).data
    np.testing.assert_allclose(shown.x, 100 * job.newest.probabilities)
    assert list(shown.y) == list(NAMES)


# --- words ---------------------------------------------------------------------------------------


def test_a_prefix_is_promised_to_be_exact_and_anything_else_is_not():
    upper = sketch_of().known
    plan = methods.plan(upper, 1, 64)
    assert plan.automatic == "prefix" and all(p.possible for p in plan.promises.values())
    assert "Exact" in plan.promises["prefix"].text and not plan.ignored.any()
    lower = sketch_of("lower-half").known
    plan = methods.plan(lower, 1, 64)
    assert plan.automatic == "particles" and not plan.promises["prefix"].possible
    assert np.array_equal(plan.ignored, lower)
    assert "18 of 18 known pixels" in plan.promises["clamping"].text
    assert "64 pictures" in plan.promises["particles"].text


@pytest.mark.parametrize(
    ("left", "line"),
    [
        ("upper-half", "rows from the top"),
        ("lower-half", "rows from the bottom"),
        ("left-half", "columns from the left"),
        ("right-half", "columns from the right"),
    ],
)
def test_with_eight_orders_every_side_is_exact(left, line):
    plan = methods.plan(sketch_of(left).known, 8, 64)
    assert plan.automatic == "prefix" and ORDER_NAMES[plan.order].startswith(line)
    assert line in methods.order_text(plan.order, 8)
    assert "only one this model knows" in methods.order_text(0, 1)


def test_a_tolerance_asks_for_particles():
    plan = methods.plan(sketch_of().known, 1, 64, tolerance=8)
    assert plan.automatic == "particles"
    assert all("not heeded" in plan.promises[name].text for name in ("prefix", "clamping"))
    late = methods.plan(sketch_of("lower-half").known, 1, 64, tolerance=8)
    assert "not heeded" in late.promises["clamping"].text
    assert "tolerance of 8 levels" in plan.promises["particles"].text


def test_the_outcome_says_exact_only_of_exact_completions():
    (exact,) = outcome.describe(finish(new_run("prefix")))
    assert "Exact" in exact.text and not exact.is_warning
    run = finish(new_run("clamping", "lower-half"))
    (clamped,) = outcome.describe(run)
    ignored = int(late_pixels(run.sketch.known_tensor[0, 0]).sum())
    assert clamped.is_warning and f"{ignored} of 18 known pixels were ignored" in clamped.text
    reports = outcome.describe(finish(new_run("particles", "around-box")))
    assert "Approximate" in reports[0].text and "log₂ p(known)" in reports[0].text


def test_a_collapse_is_warned_of_and_the_beginnings_are_counted():
    run = finish(new_run("particles", "lower-half", num_particles=64, num_images=2))
    report = run.parts[0].result.particles[0]
    texts = [r.text for r in outcome.describe(run)]
    assert f"from {report.num_beginnings} of the 64 beginnings" in texts[0]
    assert any("collapsed" in text for text in texts) == report.collapsed
    # One particle cannot be anything but collapsed.
    alone = finish(new_run("particles", "lower-half", num_particles=1, num_images=1))
    assert any(r.is_warning and "collapsed" in r.text for r in outcome.describe(alone))


def test_under_another_rule_the_words_name_it_and_at_temperature_0_nothing_collapses():
    plain = outcome.describe(finish(new_run("particles", "lower-half")))
    assert "rule" not in plain[0].text
    cold = SamplingRule(temperature=0.0)
    run = finish(new_run("particles", "lower-half", rule=cold))
    (report,) = outcome.describe(run)  # all particles draw the same: that is the answer
    assert "unknown pixels drawn with temperature 0" in report.text
    assert "log₂ p(known) under this rule" in report.text
    assert len(np.unique(run.levels(), axis=0)) == 1


def test_exact_draws_of_inferred_classes_say_where_the_classes_come_from():
    (report,) = outcome.describe(finish(inferred_run()))
    assert "7 independent draws" in report.text and "drawn from the posterior" in report.text


def test_a_drawing_far_from_the_data_is_said_to_be_and_one_of_the_model_is_not():
    model = tiny_model(height=SIDE, width=SIDE, dtype=torch.float32)
    for layer in model.head:
        layer.weight.data *= 6  # sure of itself, and so easily surprised
    level = sample(model, seed=1)[0, 0].numpy()
    unlikely = model(torch.from_numpy(level)[None, None]).argmin(1)[0, 0].numpy()
    known = occlusion("lower-half", SIDE, SIDE)[0, 0].numpy()
    for picture, tolerance, far in ((level, 0, False), (unlikely, 0, True), (unlikely, 1, False)):
        wish = Wish(
            "tiny", "particles", num_images=2, num_particles=32, tolerance=float(tolerance)
        )
        run = finish(CompletionRun(model, given(picture, 4).covered(known), wish))
        assert any("far from anything" in r.text for r in outcome.describe(run)) == far
