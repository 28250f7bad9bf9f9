"""What the Masks page draws, as data: boards, figures, tables, texts."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn.inspection.influence import PairCheck
from pixelcnn.inspection.kernels import kernel, kernel_paths
from pixelcnn.inspection.receptive_field import layer_fields
from pixelcnn.masks import channel_mask, kernel_mask
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.masks import board, panels, steps
from pixelcnn.ui.masks.all_pairs import matrix_picture
from pixelcnn.ui.masks.board import Board, Frames, Look, Panel
from pixelcnn.ui.masks.growth import growth_numbers, growth_table
from pixelcnn.ui.masks.guide import STEPS
from pixelcnn.ui.masks.kernels import channel_table
from pixelcnn.ui.masks.own import dilations_of
from pixelcnn.ui.shared.charts import distributions

from .tiny import CONVOLUTIONAL, tiny_model


@pytest.mark.parametrize("size", [3, 5, 7, 9])
@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_a_mask_panel_shows_the_mask(size, mask_type):
    panel = panels.mask_panel(size, mask_type, dilation=2)
    mask = kernel_mask(size, mask_type).numpy()
    assert (panel.values == mask).all() and panel.dilation == 2
    reads = np.isin(panel.looks, (Look.READS_PAST, Look.READS_PRESENT))
    assert (reads == (mask == 1)).all()
    centre = panel.looks[size // 2, size // 2]
    assert centre == (Look.HIDDEN_PRESENT if mask_type == "A" else Look.READS_PRESENT)
    assert (panel.looks.ravel()[size * size // 2 + 1 :] == Look.HIDDEN_FUTURE).all()
    assert panel.captions[0].startswith(f"{mask.sum()} of {size * size} entries")


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_the_weights_shown_are_the_weights_and_hidden_ones_are_left_out(
    architecture, num_channels
):
    model = tiny_model(architecture, num_channels=num_channels)
    for path in kernel_paths(model):
        window = kernel(model, path)
        output, source = len(window.weights) - 1, 0
        panel = panels.weights_panel(window, output, source)
        opened = window.is_open[output, source]
        assert (np.isnan(panel.values) == ~opened).all()
        assert (panel.values[opened] == window.weights[output, source][opened]).all()
        assert panel.two_sides and np.nanmax(abs(panel.shades), initial=0) <= 1
        together = panels.weights_panel(window, output, None)
        norms = np.linalg.norm(window.weights[output], axis=0)
        np.testing.assert_allclose(np.nan_to_num(together.values), norms, rtol=1e-6)


def test_entries_of_the_vertical_stack_in_its_own_row_are_no_future():
    window = kernel(tiny_model("gated"), "blocks.0.vertical")
    reads = window.is_open.any((0, 1))
    looks = panels.entry_looks(reads, window.is_part, window.is_vertical)
    assert looks.tolist() == [
        [Look.READS_PAST] * 3,
        [Look.READS_ROWS_ABOVE] * 3,
        [Look.ABSENT] * 3,
    ]


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_a_click_on_the_overview_finds_the_feature_it_shows(architecture):
    model = tiny_model(architecture, num_features=10)
    for path in kernel_paths(model):
        window = kernel(model, path)
        outputs, inputs = window.weights.shape[:2]
        for source in (None, inputs - 1):
            panel = panels.overview_panel(window, 0, source)
            for output in range(outputs):
                cell = panels.cell_of(window, output, source)
                found, chosen = panels.feature_at(window, cell)
                assert found == output and chosen in (None, source or 0)
                if window.size == 1:
                    assert panel.values.flat[cell] == window.weights[
                        output, source or 0, 0, 0
                    ] or (np.isnan(panel.values.flat[cell]))
            for cell in range(panel.height * panel.width):
                assert 0 <= panels.feature_at(window, cell)[0] < outputs


def test_the_overview_holds_every_weight_that_is_open():
    window = kernel(tiny_model("gated", num_features=10), "blocks.0.vertical")
    shown = panels.overview_panel(window, 3, 1).values
    expected = window.weights[:, 1][window.is_open[:, 1]]
    np.testing.assert_allclose(np.sort(shown[~np.isnan(shown)]), np.sort(expected))


def test_the_channel_table_is_the_mask():
    for mask_type in ("A", "B"):
        rows = [line.split("|")[2:-1] for line in channel_table(mask_type).splitlines()[2:]]
        reads = [[cell.strip() == "reads" for cell in row] for row in rows]
        assert reads == channel_mask(3, 3, 3, mask_type).bool().tolist()


def test_the_growth_table_counts_what_the_fields_say():
    both = {
        name: layer_fields(tiny_model(name, height=9, width=9, dilations=(1, 1)))
        for name in CONVOLUTIONAL
    }
    numbers = growth_numbers(both, 49)
    table = growth_table(numbers)
    assert table["Layer"] == ["first", "block 1", "block 2"]
    roles = both["classic"][2].roles(49)
    for text, look in (("sees", Look.SEEN), ("blind spot", Look.BLIND_SPOT)):
        percent = float(table[f"classic: {text}"][2].split("\N{NO-BREAK SPACE}")[0])
        assert percent == pytest.approx(100 * (roles == look).sum() / 49, abs=0.05)
    assert set(table["gated: blind spot"]) == {"0.0\N{NO-BREAK SPACE}%"}
    assert numbers["classic: blind spot"][2] == (roles == Look.BLIND_SPOT).sum() > 0
    assert numbers["reach"] == list(map(int, table["Reach"]))


def test_captions_count_and_the_first_pixel_has_no_past():
    field = layer_fields(tiny_model("classic", height=9, width=9))[-1]
    roles = field.roles(50)
    numbers = list(
        map(int, re.findall(r"(?<![\d.])\d+(?![\d.])", panels.field_caption(50, roles)))
    )
    assert numbers[0] == (roles == Look.SEEN).sum() and numbers[1] == 50
    assert "no past" in panels.field_caption(0, field.roles(0))


def test_the_effective_panel_is_logarithmic_and_blank_where_nothing_acts():
    field = np.zeros((4, 5), np.float32)
    field.flat[:4] = (8.0, 0.8, 0.08, 8e-9)
    panel = panels.effective_panel(field, 12, "title")
    np.testing.assert_allclose(panel.shades.flat[:4], (1, 0.75, 0.5, 0), atol=1e-6)
    assert np.isnan(panel.shades.flat[4:]).all()
    assert panel.looks.flat[12] == Look.CURRENT and (panel.looks.flat[13:] == Look.FUTURE).all()
    assert panels.effective_caption(field) == (
        "half of the gradient lies on 1 of 4 pixels, 95 % on 2"
    )
    assert "No pixel acts" in panels.effective_caption(np.zeros((4, 5), np.float32))


def test_a_board_carries_every_array_and_only_marks_keep_its_identity():
    levels = torch.arange(20).view(1, 1, 4, 5)
    looks = np.arange(40, dtype=np.uint8).reshape(2, 4, 5) % 5
    panel = panels.picture_panel(levels, 256, "picture", looks=looks, captions=["one", "two"])
    kernel_panel = panels.mask_panel(3, "A", 2)

    two = Frames(2, ("a", "b"), start=1)

    def message(mark, frames=two):
        return decode(
            Board((panel, kernel_panel), marks={"pixel": mark}, frames=frames).message(7)
        )

    header, sections = message(3)
    assert (sections["looks0"] == looks).all() and (
        sections["picture0"] == levels[0, 0].numpy()
    ).all()
    assert (sections["values1"] == kernel_mask(3, "A").numpy()).all()
    assert header["marks"] == {"pixel": 3} and header["echo"] == 7
    assert header["frames"]["start"] == 1
    assert header["panels"][1]["dilation"] == 2 and header["panels"][0]["is_choosable"]
    assert message(4)[0]["identity"] == header["identity"]
    assert message(3, Frames(3))[0]["identity"] != header["identity"]


def test_a_colour_picture_travels_with_three_colours_and_no_single_level():
    levels = torch.randint(0, 256, (1, 3, 4, 5))
    panel = panels.picture_panel(levels, 256, "picture")
    _, sections = decode(Board((panel,)).message(0))
    assert sections["picture0"].shape == (4, 5, 3)
    assert (sections["picture0"] == levels[0].permute(1, 2, 0).numpy()).all()
    assert "values0" not in sections


def test_not_a_number_may_travel_in_an_array():
    shades = np.array([[0.5, np.nan]])
    _, sections = decode(Board((Panel("map", 1, 2, shades=shades),)).message(0))
    assert sections["shades0"][0, 0] == 0.5 and np.isnan(sections["shades0"][0, 1])


def test_every_look_has_its_colours_in_the_browser():
    folder = Path(board.__file__).parent
    script = (folder / "looks.js").read_text()
    named = re.findall(r"^(?:export )?const [A-Z]+ = (\d+);", script, re.MULTILINE)
    numbers = named + re.findall(r"^  (\d+): \{", script, re.MULTILINE)
    assert sorted(map(int, numbers)) == sorted(look for look in Look if look)


def test_figures_hold_the_numbers():
    before, after = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.5, 0.4])
    figure = distributions.before_after(before, after, 1)
    assert (figure.data[0].y == before).all() and (figure.data[1].y == after).all()
    assert (distributions.distribution(before[:, None], [2]).data[0].y == before).all()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_no_step_of_the_path_has_more_than_sixty_words(step):
    assert 20 <= len(step.text.split()) <= 60
    assert 5 <= len(STEPS) <= 7


def test_expected_levels_average_by_probability():
    logits = torch.tensor([0.0, 0.0, float("-inf"), 0.0]).log_softmax(0).view(1, 4, 1, 1, 1)
    assert steps.expected_levels(logits).item() == 1  # (0 + 1 + 3) / 3
    certain = torch.full((1, 4, 1, 1, 1), -100.0)
    certain[0, 2] = 100.0
    assert steps.expected_levels(certain).item() == 2


def test_the_picture_of_all_pairs_has_the_colours_of_its_legend():
    changed = np.array(
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=bool
    )  # [j, i]: 2 acts on 0, a leak
    check = PairCheck(np.packbits(changed.T, axis=1), future_changed=1, past_changed=2)
    assert (check.matrix() == changed).all()
    blue, orange, grey, red = (45, 130, 255), (245, 125, 20), (224, 227, 233), (225, 20, 45)
    wanted = [[grey, grey, red], [blue, grey, grey], [orange, blue, grey]]
    assert matrix_picture(check).tolist() == np.array(wanted).tolist()
    few = matrix_picture(check, largest=2)  # a dot for two by two pairs: the leak wins
    assert few.tolist() == np.array([[blue, red], [orange, grey]]).tolist()


@pytest.mark.parametrize(
    ("text", "expected"), [("1 2 4", (1, 2, 4)), (" 1, 2,  16 ", (1, 2, 16)), ("3", (3,))]
)
def test_dilations_are_read(text, expected):
    assert dilations_of(text) == expected


@pytest.mark.parametrize("text", ["", "1 x", "1.5", "-1", "1000"])
def test_what_is_no_list_of_dilations_is_named(text):
    with pytest.raises(ValueError, match=re.escape(f"`dilations` (={text!r})")):
        dilations_of(text)
