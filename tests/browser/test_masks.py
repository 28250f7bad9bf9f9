"""The Masks page in a real browser: what the pointer tells, what clicks and links do."""

import re

import numpy as np
import pytest

from pixelcnn import load_model, sample
from pixelcnn.inspection.kernels import kernel
from pixelcnn.inspection.receptive_field import PixelRole, layer_fields
from pixelcnn.ui.masks.guide import STEPS

from .player import settled

GATED, CLASSIC = "fashion-mnist-gated", "fashion-mnist-classic"
TINTS = {
    "past": (45, 130, 255),
    "blind spot": (245, 125, 20),
    "leak": (225, 20, 45),
}


def open_masks(page, address, query):
    page.goto(f"{address}/masks?{query}")
    page.locator(".pcb[data-identity]").first.wait_for()
    settled(page)


class Board:
    """One board of the page, and what a visitor does with it."""

    def __init__(self, page, key):
        self.page = page
        self.root = page.locator(f".st-key-{key}_stage .pcb[data-identity]")
        self.root.wait_for()

    def grid(self, panel):
        return self.root.locator(".pcb-over").nth(panel)

    def where(self, panel, row, col):
        """Where a cell is on the screen."""
        self.grid(panel).scroll_into_view_if_needed()
        box = self.grid(panel).bounding_box()
        height, width = self.root.evaluate(
            "(e, n) => { const p = e.__board.grids[n].panel; return [p.height, p.width]; }", panel
        )
        return (
            box["x"] + (col + 0.5) * box["width"] / width,
            box["y"] + (row + 0.5) * box["height"] / height,
        )

    def point_at(self, panel, row, col):
        """Returns what is told of a cell."""
        self.page.mouse.move(*self.where(panel, row, col))
        self.wait("!b.dirty && b.hovered.grid === b.grids[n]", panel)
        return self.root.locator(".pcb-status").inner_text()

    def click(self, panel, row, col):
        self.page.mouse.click(*self.where(panel, row, col))

    def wait(self, condition, n=0):
        self.page.wait_for_function(
            f"([e, n]) => {{ const b = e.__board; return {condition}; }}",
            arg=[self.root.element_handle(), n],
        )

    def caption(self, panel):
        return self.root.locator(".pcb-caption").nth(panel).inner_text()

    def tints(self, panel, height=28, width=28):
        """Which tint each cell comes nearest to, where its hue is strong enough: (H, W) names."""
        self.page.mouse.move(0, 0)
        self.wait("!b.dirty")
        colours = np.array(
            self.root.locator(".pcb-base")
            .nth(panel)
            .evaluate(
                "(c, [h, w]) => { const x = c.getContext('2d'), out = [];"
                " for (let p = 0; p < w * h; p++) out.push([...x.getImageData("
                "Math.floor((p % w + .5) * c.width / w),"
                " Math.floor((Math.floor(p / w) + .5) * c.height / h), 1, 1).data].slice(0, 3));"
                " return out; }",
                [height, width],
            ),
            dtype=float,
        )
        hue = colours - colours.min(1, keepdims=True)
        names = np.array([*TINTS, "-"])
        wanted = np.array([np.subtract(tint, min(tint)) for tint in TINTS.values()], float)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        length = np.linalg.norm(hue, axis=1)
        nearest = (hue @ wanted.T).argmax(1)
        return names[np.where(length > 60, nearest, len(TINTS))].reshape(height, width)


def wait_for_link(page, text):
    page.wait_for_url(lambda url: text in url)


def test_the_pointer_tells_what_an_entry_of_a_mask_reads(page, server):
    page.goto(f"{server}/?seed=0")
    settled(page)
    page.get_by_role("link", name="Masks").click()
    board = Board(page, "sliding")
    settled(page)
    levels = sample(load_model(GATED), seed=0)[0, 0]
    for entry, words in (((0, 1), "past: read"), ((2, 2), "present: hidden by the mask"),
                         ((3, 4), "future: hidden by the mask")):  # fmt: skip
        told = board.point_at(0, *entry)
        row, col = 14 + entry[0] - 2, 14 + entry[1] - 2
        assert words in told
        assert f"over row {row}, column {col} (level {levels[row, col]})" in told
    assert "present: read" in board.point_at(1, 2, 2), "mask B reads its own position"


def test_the_pointer_tells_a_learned_weight_and_none_of_a_hidden_entry(page, server):
    window = kernel(load_model(CLASSIC), "first")
    open_masks(page, server, f"section=Masks&model={CLASSIC}&input=1%3A+is+level+0&feature=5")
    board = Board(page, "weights")
    told = board.point_at(0, 2, 4)
    number = float(told.split("weight ")[1].replace("\N{MINUS SIGN}", "-"))
    assert "past: read" in told and number == pytest.approx(window.weights[5, 1, 2, 4], rel=0.06)
    told = board.point_at(0, 5, 1)
    assert "future: hidden by the mask" in told and "NaN" not in told and "weight" not in told
    assert board.point_at(1, 20, 4).startswith("feature ")


def test_the_kernel_slides_by_mouse_keyboard_and_by_itself_and_the_link_follows(page, server):
    open_masks(page, server, "section=Masks&pixel=5-6")
    board = Board(page, "sliding")
    board.click(2, 9, 20)
    wait_for_link(page, "pixel=9-20")
    board.grid(2).press("ArrowRight")
    board.grid(2).press("ArrowDown")
    wait_for_link(page, "pixel=10-21")
    settled(page)
    board.root.get_by_role("button", name="Slide").click()
    board.wait("b.frame > 10 * 28 + 30")
    board.root.get_by_role("button", name="Pause").click()
    place = board.root.evaluate("e => e.__board.frame")
    wait_for_link(page, "pixel={}-{}".format(*divmod(place, 28)))
    page.reload()
    assert Board(page, "sliding").root.evaluate("e => e.__board.frame") == place
    board.grid(0).focus()
    board.grid(0).press("ArrowUp")  # from the centre of mask A, without a mouse
    board.wait("!b.dirty && b.entry === 7")
    assert "entry 1 up · past: read" in board.root.locator(".pcb-status").inner_text()


@pytest.mark.parametrize("name", [CLASSIC, GATED])
def test_the_field_on_the_screen_is_that_of_the_loaded_weights_at_every_layer(page, server, name):
    fields = layer_fields(load_model(name))
    open_masks(page, server, f"section=Receptive+field&model={name}")
    board = Board(page, "growth")
    panel = 0 if name == CLASSIC else 1
    board.click(panel, 20, 12)
    wait_for_link(page, "pixel=20-12")
    settled(page)
    pixel = 20 * 28 + 12
    board.wait("b.marks.pixel === n && !b.dirty", pixel)
    for frame in (len(fields) - 1, 0, 2):
        board.root.locator(".pcb-scrub").fill(str(frame))
        board.wait("b.frame === n && !b.dirty", frame)
        roles = fields[frame].roles(pixel)
        seen, blind = (
            int((roles == kind).sum()) for kind in (PixelRole.SEEN, PixelRole.BLIND_SPOT)
        )
        caption = board.caption(panel)
        assert f"sees {seen} of {pixel} past pixels" in caption
        assert f"blind spot {blind} ({100 * blind / pixel:.1f}" in caption
        tints = board.tints(panel)
        assert (tints[roles == PixelRole.SEEN] == "past").all()
        assert (
            (tints[roles == PixelRole.BLIND_SPOT] == "blind spot").mean() > 0.9 if blind else True
        )
        assert not (tints[roles == PixelRole.FUTURE] == "past").any()
    assert (blind > 0) == (name == CLASSIC)
    wait_for_link(page, "layer=3")
    page.reload()
    board = Board(page, "growth")
    board.wait("b.frame === 2 && b.marks.pixel === n && !b.dirty", pixel)
    board.root.get_by_role("button", name="Play").click()
    board.wait("b.frame > n && b.playing", 2)
    board.wait("b.frame === b.total && !b.playing")
    wait_for_link(page, f"layer={len(fields)}")


def test_the_wrong_mask_turns_the_check_red_on_the_screen(page, server):
    open_masks(page, server, "section=Why+A+then+B&pixel=11-13")
    board = Board(page, "leak")
    assert page.get_by_text("Causality check passed").is_visible()
    assert board.tints(2)[11, 13] != "leak"
    page.get_by_text("Use mask B in the first layer (wrong)").click()
    page.get_by_text("Causality check failed.").wait_for()
    settled(page)
    wait_for_link(page, "wrong=true")
    board.wait("b.grids[0].looks[24] === 8 && !b.dirty")  # the centre of 7 x 7 reads
    tints = board.tints(2)
    assert tints[11, 13] == "leak" and (tints == "leak").sum() == 1
    assert page.get_by_role("heading", name="Trained with the wrong mask").is_visible()


def test_two_clicks_tell_whether_one_pixel_acts_on_another(page, server):
    open_masks(page, server, f"section=Prove+it&model={CLASSIC}")
    board = Board(page, "pair")
    roles = layer_fields(load_model(CLASSIC))[-1].roles(400).ravel()
    blind = int((roles == PixelRole.BLIND_SPOT).nonzero()[0][-1])
    for i, words in ((371, "Yes, i influences j."), (500, "No: not a bit changed."),
                     (blind, "it lies in the blind spot")):  # fmt: skip
        board.root.get_by_role("button", name="i: pixel to change").click()
        board.click(0, *divmod(i, 28))
        wait_for_link(page, "i={}-{}".format(*divmod(i, 28)))
        settled(page)
        board.click(0, *divmod(400, 28))  # the click chose j for the next one
        wait_for_link(page, "j=14-8")
        settled(page)
        page.get_by_text(words).wait_for()


def test_a_link_to_a_step_opens_it_and_the_buttons_walk_on(page, server):
    open_masks(page, server, "step=4")
    assert page.get_by_role("heading", name=f"4. {STEPS[3].title}").is_visible()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("heading", name=f"5. {STEPS[4].title}").wait_for()
    wait_for_link(page, "step=5")
    page.reload()
    page.get_by_role("heading", name=f"5. {STEPS[4].title}").wait_for()
    settled(page)
    page.get_by_role("button", name="Back").click()
    page.get_by_role("heading", name=f"4. {STEPS[3].title}").wait_for()
    settled(page)
    page.get_by_text("Why A then B", exact=True).click()
    page.get_by_text("Causality check passed").wait_for()
    assert "step=" not in page.url


def test_a_net_of_ones_own_follows_its_controls(page, server):
    open_masks(page, server, "section=Build+your+own")
    board = Board(page, "own")
    blind = page.get_by_test_id("stMetric").nth(2)
    assert not re.search(r"\b0\.0", blind.inner_text())
    page.get_by_text("Gated", exact=True).click()
    page.get_by_test_id("stMetric").filter(has_text=re.compile(r"Blind spot\s*0\.0")).wait_for()
    slider = page.get_by_role("slider", name="Blocks")
    slider.focus()
    slider.press("ArrowRight")
    board.wait("b.head.frames.count === 8")
    wait_for_link(page, "blocks=7")


def test_on_a_phone_nothing_is_wider_than_the_screen(phone, server):
    sections = ("Masks", "Why A then B", "Receptive field", "Prove it", "Build your own")
    links = [f"section={section.replace(' ', '+')}" for section in sections]
    for link in [*links, "step=1", f"step={len(STEPS)}"]:
        open_masks(phone, server, link)
        for canvas in phone.locator(".pcb-stage").all():
            box = canvas.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
