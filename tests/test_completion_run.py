"""Completions while they are drawn: the same as the library's, at every moment consistent."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pixelcnn.completion import (
    ClassPosterior,
    begin_completion,
    class_posterior,
    complete,
    iter_class_posterior,
    late_pixels,
    log_prob,
    occlusion,
)
from pixelcnn.config import SamplingRule
from pixelcnn.orders import ORDER_NAMES
from pixelcnn.sampling import sample
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.complete import methods, outcome
from pixelcnn.ui.complete.run import CompletionRun, Request, classes_done
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.shared.charts.classes import ranges_chart
from pixelcnn.ui.shared.history import Subject
from pixelcnn.ui.shared.jobs import JOBS, Visitor
from pixelcnn.ui.shared.sketch import channels_last, given

from .tiny import tiny_model
from .tiny_completion import (
    COLOUR_READER,
    COLOURS,
    MODEL,
    NAMES,
    READER,
    SIDE,
    SIDES,
    finish,
    new_run,
    sketch_of,
    with_stroke,
)

RUNS = [
    ("prefix", "upper-half", MODEL, True),
    ("prefix", "lower-half", SIDES, True),
    ("prefix", "right-half", SIDES, True),
    ("clamping", "around-box", MODEL, True),
    ("particles", "around-box", MODEL, True),
    ("particles", "lower-half", MODEL, True),
    ("weighed", "every-other-row", READER, True),
    ("learned", "lower-half", READER, True),
    ("learned", "every-other-row", READER, False),
    ("clamping", "around-box", COLOURS, True),
    ("weighed", "every-other-row", COLOUR_READER, True),
    ("learned", "around-box", COLOUR_READER, False),
]
"""Method, what is left of a picture, model, and whether strokes are facts."""
all_runs = pytest.mark.parametrize(("method", "left", "model", "exactly"), RUNS)


@all_runs
def test_a_run_ends_with_what_the_library_gives(method, left, model, exactly):
    rule = SamplingRule(temperature=0.8)
    run = finish(new_run(method, left, model, seed=3, label=1, rule=rule, exactly=exactly))
    counts = {"num_images": 5, "num_particles": 16}
    settings = {"method": method, "seed": 3, "rule": rule, "label": 1}
    expected = complete(model, *run.sketch.evidence(exactly), **counts, **settings)
    assert np.array_equal(run.levels(), expected.levels[0])
    assert run.bits() == pytest.approx((-expected.log_prob[0] / np.log(2)).tolist())
    assert run.order == int(expected.order[0])


@all_runs
def test_known_pixels_are_as_given_at_every_moment_and_hints_are_drawn_over(
    method, left, model, exactly
):
    run = new_run(method, left, model, exactly=exactly)
    hints = run.sketch.hints(exactly)
    facts = run.sketch.known & ~hints
    assert hints.any() != exactly
    while not run.done:
        assert (run.levels()[..., facts] == run.sketch.level[..., facts]).all()
        run.draw(0)
    assert (run.levels()[..., facts] == run.sketch.level[..., facts]).all()
    assert exactly or (run.levels()[..., hints] != run.sketch.level[..., hints]).any()


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
    run.answer_pull(request["of"], request["serial"])
    return decode(run.message())


@all_runs
def test_messages_hold_all_that_is_drawn(method, left, model, exactly):
    run = new_run(method, left, model, exactly=exactly)
    particles = 16 if method in ("particles", "weighed") else 0
    head, _ = decode(run.message())
    assert (head["height"], head["width"], len(head["captions"])) == (SIDE, SIDE, 5)
    assert head["bits"] is head["looks"] is None and not head["done"]
    for _ in range(500):
        head, arrays = message(run)
        levels = arrays["level"].reshape(5, SIDE, SIDE, -1)
        assert np.array_equal(levels, channels_last(run.levels()))
        np.testing.assert_allclose(arrays["mean"], levels.mean(0).ravel(), rtol=1e-5)
        most = levels.std(0).max(-1).ravel()  # of the channel that varies most
        np.testing.assert_allclose(arrays["deviation"], most, atol=1e-5)
        assert len(arrays["ess"]) == len(arrays["ancestors"])
        assert len(arrays["ess"]) == (head["count"] if particles else 0)
        assert np.array_equal(arrays["known"] > 0, run.known.ravel())
        assert np.array_equal(arrays["hints"] > 0, run.sketch.hints(exactly).ravel())
        if head["done"]:
            break
    assert head["count"] == head["steps"] and len(head["bits"]) == 5
    assert head["particles"] == particles
    assert (head["looks"] is not None) == model.reads_evidence
    if particles:
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


@all_runs
def test_the_generate_page_draws_the_same_picture(method, left, model, exactly):
    rule = SamplingRule(temperature=0.7)
    run = finish(new_run(method, left, model, seed=9, label=2, rule=rule, exactly=exactly))
    for image in range(5):
        history = run.history(image)
        assert history.last_rule == rule
        subject = Subject("tiny", seed=9, image=image, label=2)
        dependency = np.zeros((SIDE * SIDE, 5), np.uint8)
        drawing = Drawing(model, dependency, subject, history, [""])
        course = drawing.current
        course.draw(float("inf"))
        assert np.array_equal(course.levels()[0], run.levels()[image])
        if model is MODEL and method != "particles":  # drawn there as here: the rest is not forced
            assert set(history.forced) == set(np.flatnonzero(run.known))
        if (model, method) == (MODEL, "prefix"):  # so a course of its own goes on as it was, too
            level = int(course.levels().ravel()[run.first])
            again = drawing.course(replace(history, forced=history.forced | {run.first: level}))
            again.draw(float("inf"))
            assert np.array_equal(again.levels(), course.levels())


# --- the class -----------------------------------------------------------------------------------


def inferring(model, sketch, exactly=True):
    steps = iter_class_posterior(model, *sketch.evidence(exactly))
    return JOBS.begin(object(), lambda: steps, Visitor("somebody"))


def inferred_run(method="prefix", left="upper-half", model=MODEL):
    sketch = sketch_of(left, model)
    exactly = not model.reads_evidence
    sketch = sketch if exactly else with_stroke(sketch)
    counts = {"num_images": 7, "num_particles": 24}
    request = Request("tiny", method, **counts, inferred=True, exactly=exactly)
    return CompletionRun(model, sketch, request, NAMES, inferring(model, sketch, exactly))


@pytest.mark.parametrize(
    ("method", "left", "model"),
    [
        ("prefix", "upper-half", MODEL),
        ("particles", "around-box", MODEL),
        ("learned", "around-box", READER),
    ],
)
def test_inferred_classes_follow_the_posterior(method, left, model):
    run = finish(inferred_run(method, left, model))
    job = run.posterior
    assert run.labels == job.latest.draw(7, seed=0) == sorted(run.labels)
    counts = [np.bincount(job.latest.draw(7, seed), minlength=3) for seed in range(2000)]
    probabilities = job.latest.probabilities.numpy()
    np.testing.assert_allclose(np.mean(counts, 0) / 7, probabilities, atol=0.02)
    # Independent: as different from time to time as draws with replacement are.
    np.testing.assert_allclose(
        np.var(counts, 0), 7 * probabilities * (1 - probabilities), rtol=0.2, atol=0.01
    )
    assert [run.class_name(i) for i in range(7)] == [NAMES[label] for label in run.labels]
    assert run.levels().shape == (7, 1, SIDE, SIDE)
    if method != "particles":  # every completion is the one that its class alone would give
        for image, label in enumerate(run.labels):
            alone = complete(model, *run.evidence, method=method, label=label, first_image=image)
            assert np.array_equal(run.levels()[image], alone.levels[0, 0])


@pytest.mark.parametrize("classes", ["each", "any", 1, "inferred"])
@pytest.mark.parametrize(
    ("method", "left", "model"),
    [("learned", "around-box", READER), ("particles", "around-box", MODEL)],
)
def test_a_completion_takes_a_class_of_its_own_and_the_others_stay(method, left, model, classes):
    settings = {"inferred": True} if classes == "inferred" else {}
    if classes != "inferred":
        settings["label"] = {"each": (0, 1, 2, 0, 1), "any": None}.get(classes, classes)
    request = Request("tiny", method, num_images=5, num_particles=20, **settings)
    sketch = sketch_of(left, model)

    def begin(pins):
        job = inferring(model, sketch) if request.inferred else None
        return CompletionRun(model, sketch, replace(request, pins=pins), NAMES, job)

    plain, run = finish(begin(())), finish(begin(()))
    run.pin(((3, 2), (0, 0)))
    expected = [0, *plain.labels[1:3], 2, plain.labels[4]]
    assert run.labels == expected and run.done
    assert [name for name, _ in run.looks_like() or []][3:4] in ([], [NAMES[2]])
    others = [1, 2, 4]
    assert np.array_equal(run.levels()[others], plain.levels()[others])
    assert run.bits()[4] == plain.bits()[4]
    assert "pinned the class of 4 (three), 1 (one)" in outcome.describe(run)[0].text
    again = finish(begin(run.request.pins))  # as a link begins
    assert np.array_equal(again.levels(), run.levels()) and again.bits() == run.bits()
    run.pin(((1, 2), (3, 2)))
    assert not np.array_equal(run.levels()[1], run.levels()[3])  # one class, and yet two pictures
    if method == "learned":
        for image, label in enumerate(run.labels):
            alone = complete(model, *run.evidence, method=method, label=label, first_image=image)
            assert np.array_equal(run.levels()[image], alone.levels[0, 0])
    run.pin(())
    assert np.array_equal(run.levels(), plain.levels()) and run.labels == plain.labels


def test_the_job_computes_every_class_and_shows_how_far_the_groups_differ():
    job = inferring(MODEL, sketch_of("around-box"))
    job.wait(60)
    assert job.done == 1 and not job.running
    assert not job.latest.is_exact and classes_done(job.latest) == 3
    (shown,) = ranges_chart(job.latest, NAMES).data
    relative = job.latest.group_log_evidence - job.latest.log_evidence.max()
    assert list(shown.y) == list(NAMES)
    np.testing.assert_allclose(
        shown.x + shown.error_x.array, relative.max(1).values / np.log(2), atol=1e-9
    )
    np.testing.assert_allclose(
        shown.x - shown.error_x.arrayminus, relative.min(1).values / np.log(2), atol=1e-9
    )
    text = outcome.posterior_text(job.latest, NAMES)
    assert "rough estimate" in text and "4 independent groups" in text
    assert ("not settled" in text) == bool(job.latest.rivals)


def test_a_ranking_within_the_difference_of_groups_is_said_to_be_open():
    for behind, settled in ((100.0, True), (0.5, False)):
        groups = torch.tensor([[-10.0, -11.0], [-10 - behind, -11 - behind], [-999, -999]])
        mean = groups.double().logsumexp(1) - np.log(2)
        posterior = ClassPosterior(mean, groups.double(), 0, is_exact=False)
        text = outcome.posterior_text(posterior, NAMES)
        assert ("may also be two." in text) != settled
        assert ("more than the groups differ" in text) == settled


@pytest.mark.parametrize("exactly", [True, False])
def test_a_posterior_is_exact_or_learned(exactly):
    sketch = sketch_of() if exactly else with_stroke(sketch_of())
    evidence = sketch.evidence(exactly)
    posterior = class_posterior(READER, *evidence)
    text = outcome.posterior_text(posterior, NAMES)
    assert ("Exact" in text, "The encoder's guess" in text) == (exactly, not exactly)
    if not exactly:
        learned = READER.class_probabilities(evidence)[0]
        np.testing.assert_allclose(posterior.probabilities, learned)
        with pytest.raises(ValueError, match="need a model that reads evidence"):
            class_posterior(MODEL, *evidence)


@pytest.mark.parametrize("label", [None, 2])
def test_each_finished_completion_names_its_class_and_how_probable_it_is(label):
    run = finish(new_run("learned", "around-box", READER, exactly=False, label=label))
    for levels, (name, percent) in zip(run.levels(), run.looks_like(), strict=True):
        whole = given(levels, run.config.num_levels).evidence()
        probability = READER.class_probabilities(whole)[0]
        expected = int(probability.argmax()) if label is None else label
        assert name == NAMES[expected]
        assert percent == pytest.approx(100 * float(probability[expected]), rel=1e-4)


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drawn", "tolerance"), [(False, 0.0), (False, 1.0), (True, 0.0)])
@pytest.mark.parametrize("left", ["upper-half", "lower-half", "right-half", "around-box"])
@pytest.mark.parametrize("model", [MODEL, SIDES, READER])
def test_a_method_is_promised_where_the_library_begins_it_and_the_best_is_automatic(
    model, left, drawn, tolerance
):
    sketch = with_stroke(sketch_of(left, model)) if drawn else sketch_of(left, model)
    evidence = sketch.evidence(exactly=not model.reads_evidence)
    plan = methods.plan(model, evidence, 16, tolerance)
    for method, promise in plan.promises.items():
        try:
            begin_completion(model, *evidence, method=method)
        except ValueError:
            assert not promise.possible and "Not possible here" in promise.text
        else:
            assert promise.possible
    exact = plan.promises["prefix"].possible and not tolerance
    guided = model.reads_evidence and not tolerance
    assert plan.automatic == ("prefix" if exact else "learned" if guided else "particles")
    assert plan.promises[plan.automatic].possible
    assert ORDER_NAMES[plan.order] in methods.order_text(plan.order, model.config.num_orders)
    known, hints = evidence.known[0, 0], evidence.hints
    late = late_pixels(known, plan.order)
    assert np.array_equal(plan.ignored, late)
    clamping = plan.promises["clamping"].text
    assert hints.any() or exact or f"{late.sum()} of {known.sum()} known" in clamping or tolerance


def test_the_outcome_says_exact_only_of_exact_completions():
    (exact,) = outcome.describe(finish(inferred_run()))
    assert "**Exact.** 7 independent draws" in exact.text and not exact.is_warning
    assert "drawn from the posterior" in exact.text
    run = finish(new_run("clamping", "lower-half"))
    (clamped,) = outcome.describe(run)
    ignored = int(late_pixels(torch.from_numpy(run.known)).sum())
    assert clamped.is_warning and f"{ignored} of 18 known pixels were ignored" in clamped.text
    reports = outcome.describe(finish(new_run("particles", "around-box")))
    assert "Approximate" in reports[0].text and "log₂ p(known)" in reports[0].text
    for exactly in (True, False):
        run = finish(new_run("learned", "around-box", READER, exactly=exactly))
        run.posterior = inferring(READER, run.sketch, exactly)
        run.posterior.wait(60)
        (learned,) = outcome.describe(run)
        best = NAMES[int(run.posterior.latest.probabilities.argmax())]
        assert f"Most probable: {best} (" in learned.text
        hints = int(run.sketch.hints(exactly).sum())
        assert "guesses that fit your drawing" in learned.text and not learned.is_warning
        assert f"{run.known.sum()} known pixels" in learned.text
        assert (f" {hints} pixels of hints" in learned.text) == (not exactly)
        assert ("Each is one of 4 candidates" in learned.text) == (not exactly)
        assert ("log₂ p(known)" in learned.text) == exactly  # hints have no probability
        assert (outcome.estimate(run) is not None) == exactly
    weighed = finish(new_run("weighed", "around-box", READER))
    weighed.other_estimate = ("learned", -12.0)
    text = outcome.describe(weighed)[0].text
    assert f"log₂ p(known): {outcome.estimate(weighed):,.0f} bits" in text
    assert "Method: *weighed*" in text and "The method *learned* estimated -12 bits" in text


def test_a_collapse_is_warned_of_and_the_beginnings_are_counted():
    run = finish(new_run("particles", "lower-half", num_particles=64, num_images=2))
    report = run.parts[0].result.particles[0]
    texts = [r.text for r in outcome.describe(run)]
    assert f"from {report.num_beginnings} of the 64 pictures begun" in texts[0]
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


def test_a_drawing_far_from_the_data_is_said_to_be_and_one_of_the_model_is_not():
    model = tiny_model(height=SIDE, width=SIDE, dtype=torch.float32)
    for layer in model.head:
        layer.weight.data *= 6  # sure of itself, and so easily surprised
    level = sample(model, seed=1)[0].numpy()
    unlikely = model(torch.from_numpy(level)[None]).argmin(1)[0].numpy()
    known = occlusion("lower-half", SIDE, SIDE)[0, 0].numpy()
    for picture, tolerance, far in ((level, 0, False), (unlikely, 0, True), (unlikely, 1, False)):
        request = Request(
            "tiny", "particles", num_images=2, num_particles=32, tolerance=float(tolerance)
        )
        run = finish(CompletionRun(model, given(picture, 4).covered(known), request))
        assert any("far from anything" in r.text for r in outcome.describe(run)) == far
