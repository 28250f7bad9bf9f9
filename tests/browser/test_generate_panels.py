"""What the panels of the player tell, against the same computed from the loaded weights."""

import inspect
import re
import textwrap

import numpy as np
import pytest
import torch

from pixelcnn import SamplingRule, bits_per_dim, dependency_maps, load_model, make_noise
from pixelcnn.data.pictures import pictures, png_bytes
from pixelcnn.evaluation.likelihoods import entropy_bits, surprise_bits
from pixelcnn.sampling import probabilities
from pixelcnn.sampling.naive import iter_naive

from .player import (
    HEIGHT,
    PLAYER,
    TOTAL,
    WIDTH,
    colours,
    finish,
    open_player,
    pause,
    pin,
    press,
    say_nothing_more,
    state,
    unpin,
    wait_for,
)

GATED, CLASSIC = "fashion-mnist-gated", "fashion-mnist-classic"
COAT = 4
INSET = 8  # of the time line, in CSS pixels


@pytest.fixture(scope="module")
def model():
    return load_model(GATED)


def tints(page):
    """What the overlay says of every pixel: s(een), u(nseen), f(uture), or nothing."""
    red, green, blue, alpha = colours(page, ".px-overlay").T
    kinds = np.where(blue > red, "s", np.where(red > blue, "u", "f"))
    assert (green[kinds == "f"] == red[kinds == "f"]).all()
    return np.where(alpha == 0, "-", kinds)


def array(page, name):
    return np.array(page.locator(PLAYER).evaluate(f"e => [...e.__player.trace.{name}]"))


@torch.inference_mode()
def logits_of(model, levels, label=COAT):
    """Logits (B, K, C, H, W) and levels (B, C, H, W) of a picture read from the screen."""
    levels = torch.tensor(levels).view(1, 1, HEIGHT, WIDTH)
    return model(levels, torch.tensor([label])), levels


@pytest.mark.parametrize(("name", "has_blind_spot"), [(GATED, False), (CLASSIC, True)])
def test_the_tinted_pixels_are_those_that_the_loaded_weights_can_read(
    page, server, name, has_blind_spot
):
    dependency = dependency_maps(load_model(name))
    open_player(page, server, f"model={name}&seed=5&class=Coat")
    finish(page)
    pin(page, 300)
    assert (tints(page) == "-").all(), "it is shown when it is asked for"
    assert not page.locator(".pxc-field-legend").is_visible()
    page.get_by_label("Receptive field").check()
    for position in (12 * WIDTH + 16, 3, 27 * WIDTH, 20 * WIDTH + 27, 14 * WIDTH + 14):
        pin(page, position)
        past = np.arange(TOTAL) < position
        wanted = np.where(past, np.where(dependency[position], "s", "u"), "f")
        wanted[position] = "-"
        shown = tints(page)
        assert (shown == wanted).all()
        seen = int(dependency[position, :position].sum())
        assert page.locator(".pxc-field-legend").is_visible()
        legend = page.locator(".pxc-sees").inner_text()
        assert legend.startswith(f"sees {seen} of {position} past pixels")
        assert f"({100 * seen / position:.0f} %)" in legend
    rows, cols = np.divmod(np.arange(TOTAL), WIDTH)
    up, aside = 14 - rows, abs(cols - 14)
    reached = (up <= up[shown == "s"].max()) & (aside <= aside[shown == "s"].max())
    assert bool((shown[reached & past] == "u").any()) == has_blind_spot
    unpin(page)
    legend = page.locator(".pxc-sees").inner_text()
    rest = int(array(page, "surprise_bits").argmax())
    assert f"of {rest} past pixels" in legend, "unpinned, it is about the biggest surprise"


@pytest.mark.parametrize("query", ["", "&temperature=0.8"])
def test_the_sentence_under_the_picture_tells_what_is_computed_from_the_weights(
    page, server, model, query
):
    open_player(page, server, "seed=5&class=Coat" + query)
    levels = finish(page)
    logits = logits_of(model, levels)[0][0, :, 0].flatten(1).T.numpy()  # (784, K)
    noise = make_noise(model.config, num_images=1, seed=5)[0, 0].flatten()
    rule = SamplingRule(temperature=0.8 if query else 1.0)
    ranges = 0
    for position in (5, 9 * WIDTH + 14, 15 * WIDTH + 3, 20 * WIDTH + 12):
        pin(page, position)
        row, col = divmod(position, WIDTH)
        said = say_nothing_more(page)
        assert said.startswith(f"Row {row}, column {col}: ") and ("your settings" in said) == bool(
            query
        )
        assert f"The dice say {noise[position]:.3f}: it becomes {levels[position]}" in said
        p = probabilities(logits[position], rule)
        if found := re.search(r"(\d+) to (\d+) \((.*) % likely\)", said):
            low, high = int(found[1]), int(found[2])
            held = p[low : high + 1].sum()
            assert held >= 0.8 - 1e-4 and round(100 * held) == pytest.approx(int(found[3]), abs=1)
            shorter = np.convolve(p, np.ones(high - low), "valid").max()
            assert shorter < 0.8 + 1e-4, "a shorter range would hold as much"
            ranges += 1
        else:
            assert p[int(re.search(r"expects level (\d+)", said)[1])] >= 0.8
    assert ranges >= 2


@pytest.mark.parametrize("query", ["", "&temperature=0.8&top_k=100"])
def test_the_maps_show_the_surprise_and_entropy_of_the_model(page, server, model, query):
    open_player(page, server, "seed=5&class=Coat" + query)
    logits, levels = logits_of(model, finish(page))
    wanted = {
        "surprise": surprise_bits(logits, levels).flatten().numpy(),
        "entropy": entropy_bits(logits).flatten().numpy(),
    }
    for name, bits in wanted.items():
        np.testing.assert_allclose(array(page, f"{name}_bits"), bits, atol=2e-3)
        page.get_by_role("button", name=name.capitalize(), exact=True).click()
        wait_for(page, "!p.dirty")
        bar = page.locator(".pxc-colourbar")
        top = int(re.search(r"0 to (\d+) bits", bar.get_attribute("aria-label"))[1])
        assert top >= 8
        ramp = np.array(
            bar.evaluate(
                "(c, inset) => { const x = c.getContext('2d'), out = [];"
                " for (let i = inset; i < c.width - inset; i++)"
                " out.push([...x.getImageData(i, 6, 1, 1).data].slice(0, 3)); return out; }",
                INSET,
            )
        )
        shown = colours(page, ".pxc-picture")[:, :3]
        distance = abs(shown[:, None] - ramp[None]).sum(2)
        assert distance.min(1).max() < 12, "a colour of the map is not on its bar"
        at = distance.argmin(1) / (len(ramp) - 1) * top
        np.testing.assert_allclose(at, bits.clip(0, top), atol=0.015 * top)
        assert (tints(page) == "-").all(), "tints would change what the colours mean"
        assert not page.locator(".pxc-field-legend").is_visible()


def test_the_bits_so_far_are_those_of_the_pixels_shown_and_in_all_beside_the_size_as_png(
    page, server, model
):
    open_player(page, server, "seed=5&class=Coat&temperature=0.9")
    logits, levels = logits_of(model, finish(page))
    surprise = surprise_bits(logits, levels).flatten().cumsum(0)
    line = page.locator(".px-bits").inner_text()
    pattern = r"([\d,]+) bits = ([\d,]+) bytes in total, ([\d.]+) bits/dim; .* PNG: ([\d,]+) bytes"
    bits, in_bytes, per_dim, png = (
        float(number.replace(",", "")) for number in re.fullmatch(pattern, line).groups()
    )
    total = float(surprise[-1])
    assert bits == pytest.approx(total, abs=1) and in_bytes == pytest.approx(total / 8, abs=1.2)
    assert per_dim == pytest.approx(float(bits_per_dim(model, levels, COAT)[0]), abs=0.006)
    assert png == len(png_bytes(pictures(levels, 256)[0]))
    page.get_by_label("Position").fill("400")
    wait_for(page, "p.position === 400 && !p.dirty")
    bits, pixels = re.match(
        r"so far ([\d,]+) bits in (\d+) pixels", page.locator(".px-bits").inner_text()
    ).groups()
    assert pixels == "400"
    assert float(bits.replace(",", "")) == pytest.approx(float(surprise[399]), abs=1)


def test_the_strip_shows_two_stretches_after_the_temperature_was_changed(page, server, model):
    open_player(page, server, "seed=5&class=Coat")
    wait_for(page, "p.position > 60")
    press(page, "Temperature", "ArrowLeft")
    wait_for(page, "p.trace.rules.length === 2")
    levels = finish(page)
    rules = page.locator(PLAYER).evaluate("e => e.__player.trace.rules")
    start = rules[1]["start"]
    assert [rule["temperature"] for rule in rules] == [1.0, 0.95] and 60 < start < 700
    # The stretches are true: the last pixel of one rule, the first of the other.
    logits = logits_of(model, levels)[0][0, :, 0].flatten(1).T.numpy()  # (784, K)
    for position, temperature in ((start - 1, 1.0), (start, 0.95)):
        shown = page.locator(PLAYER).evaluate(
            "(e, i) => [...e.__player.trace.probabilities(i).rule]", position
        )
        rule = SamplingRule(temperature=temperature)
        np.testing.assert_allclose(shown, probabilities(logits[position], rule), atol=1e-4)
    # And so are the colours under the time line.
    strip = page.locator(".px-strip")
    row = np.array(
        strip.evaluate(
            "c => [...c.getContext('2d').getImageData(0, 41, c.width, 1).data]",
        )
    ).reshape(-1, 4)
    place = INSET + (len(row) - 2 * INSET) * (np.arange(TOTAL) + 0.5) / TOTAL
    at = row[place.astype(int)]
    first, second = at[: start - 2], at[start + 4 :]
    assert (first == first[0]).all() and (second == second[0]).all()
    assert (first[0] != second[0]).any()
    box = page.locator(".px-scrub").bounding_box()
    for position, text in ((start - 3, "temperature 1.0"), (start + 3, "temperature 0.95")):
        page.mouse.move(box["x"] + place[position], box["y"] + box["height"] / 2)
        assert text in page.locator(".px-scrub").get_attribute("title")


def comments(page):
    """The code panel: its lines of code, the comments on them, and the marked line."""
    lines = page.locator(".pxc-code-line").evaluate_all(
        "rows => rows.map(r => [r.firstChild.textContent, r.querySelector('i').textContent,"
        " r.classList.contains('pxc-marked')])"
    )
    return zip(*lines, strict=True)


def test_the_code_panel_shows_the_naive_loop_and_the_values_of_the_shown_pixel(
    page, server, model
):
    open_player(page, server, "seed=5&class=Coat&top_k=40")
    page.locator(".pxc-code summary").click()
    levels = finish(page)
    logits = logits_of(model, levels)[0][0, :, 0].flatten(1).numpy()  # (K, 784)
    noise = make_noise(model.config, num_images=1, seed=5)[0, 0].flatten()
    for position in (9 * WIDTH + 14, TOTAL - 1):
        pin(page, position)
        row, col = divmod(position, WIDTH)
        code, notes, marked = comments(page)
        loop = textwrap.indent("\n".join(code), "    ")
        assert loop in inspect.getsource(iter_naive)
        said = {line.strip(): note for line, note in zip(code, notes, strict=True) if note}
        assert said["for row in range(height):"] == f"# row = {row}"
        assert said["for col in range(width):"] == f"# col = {col}"
        model_p = torch.tensor(logits[:, position]).softmax(0)
        peak = said["logits = everything[:, :, channel, row, col]"]
        level, p = re.fullmatch(r"# peak: level (\d+) \(p = (.+)\)", peak).groups()
        assert int(level) == int(model_p.argmax())
        assert float(p) == pytest.approx(float(model_p.max()), abs=0.006)
        assert said["probability = probabilities(logits, rule)"] == "# 40 of 256 levels kept"
        assert said["u = noise[:, channel, row, col]"] == f"# u = {noise[position]:.4f}"
        assert said["level = draw(probability, u)"] == f"# level = {levels[position]}"
        stored = "levels[:, channel, row, col] = torch.from_numpy(level)"
        assert said[stored] == f"# pixel ({row}, {col}) = {levels[position]}"
        assert [c.strip() for c, m in zip(code, marked, strict=True) if m] == [stored]


def test_the_mark_walks_through_the_loop_while_a_pixel_is_drawn(page, server):
    open_player(page, server, "seed=5&class=Coat")
    page.get_by_label("Hurry through certain pixels").uncheck()
    page.locator(".pxc-code summary").click()
    wait_for(page, "p.position > 30")
    page.locator(".px-speed").select_option("1")
    start = state(page)["position"]
    seen = page.locator(".pxc-code pre").evaluate(
        """pre => new Promise(resolve => {
            const seen = [], started = performance.now();
            const look = () => {
                const rows = [...pre.children];
                const at = rows.findIndex(r => r.classList.contains("pxc-marked"));
                if (at >= 0 && at !== seen.at(-1)) seen.push(at);
                if (performance.now() - started < 3500) requestAnimationFrame(look);
                else resolve(seen);
            };
            look();
        })"""
    )
    code, _, _ = comments(page)
    steps = [i for i, line in enumerate(code) if not line.strip().startswith(("for ch", "yield"))]
    assert set(seen) == set(steps), "every step of a pixel is marked in its second"
    order = [steps.index(line) for line in seen]
    jumps = np.diff(order) % len(steps)
    assert (jumps == 1).mean() > 0.7, "one step after the other"
    pause(page)
    assert state(page)["position"] - start < 8
