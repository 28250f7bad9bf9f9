"""Whatever a link says, a page opens: with what it can use, and a notice about the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from pixelcnn.ui.shared.controls import GOOD_SEED

from .outside import as_read
from .test_fire import HARD, fire

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")
TIMEOUT = 120
PAGES = {
    "": "model class seed pictures rows image temperature top_k top_p history",
    "complete": "complete_model complete_class pinned_classes completions_shown particles "
    "tolerance complete_seed temperature top_k top_p drawing v method live exactly followed model",
    "masks": "model section picture class seed item pixel kernel dilation weights_layer feature "
    "input wrong layer channel i j by show_field net first later pattern dilations blocks "
    "features step block map",
    "measure": "model view source sample_class sample_temperature sample_seed set item "
    "invert told order pixel score paradox_numbers paradox_images logarithmic "
    "calibration_numbers differs checkpoints common_model common_class classes common_t stages "
    "common_temperature common_seed sweep sweep_class sweep_seed sweep_images",
    "family": "family_view family row price_model series price_past look_row look_col look_seed "
    "family_class better_family looking_family family_members learning_axis distance present",
    "train": "tab run preset present",
}
SECTIONS = {
    "masks": ("section", ["Masks", "Why A then B", "Receptive field", "Prove it",
                          "Build your own", "What PixelCNN is"]),
    "measure": ("view", ["Score a picture", "Paradox", "Common noise", "Temperatures",
                         "Calibration", "Models"]),
    "family": ("family_view", ["A price, week after week", "Side by side",
                               "How far each looks", "Who is better?"]),
    "train": ("tab", ["New run", "Runs", "Compare"]),
}  # fmt: skip
ODD = ["", "1e999", "-1e999", "1e-300", "nan", "-1", "1234567890123456789", "9" * 5000, "0x1",
       "None", "true", "any", "1-1", "27-27", "99-99", "\x00", "\u202e", "\U0001f600", "[", "{}",
       "![x](http://outside.example/x.png)", "<img src=http://outside.example/x.png>",
       "$x$", ":red[x]", "a__b__c", "../..", "run:x", "run:../x", "imported:x", "0_1_0_1",
       "0_1e-300_0_1", "0_1_0_1~f400_999"]  # fmt: skip


def open_page(name: str, query: dict[str, str]) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    if name:
        page.switch_page(f"pages/{name}.py")
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def said(page: AppTest) -> str:
    return as_read("\n".join(box.value for box in page.warning))


WRONG = {
    "": [
        ("seed", "1e999", "be an integer from 0 to 9,007,199,254,740,991", GOOD_SEED),
        ("image", "1e999", "be an integer from 0 to 4,294,967,295", 0),
        ("temperature", "1e-300", "be 0, or a number from 0.000001 to 2", 1.0),
        ("pictures", "65", "be an integer from 1 to 64", 1),
        ("class", "Nope", "be one of: any, T-shirt/top, Trouser", "any"),
        ("model", "nope", "be one of: fashion-mnist", "fashion-mnist-gated"),
    ],
    "complete": [
        ("complete_seed", "", "be an integer from 0", 0),
        ("model", "nope", "name a checkpoint that there is", None),
    ],
    "masks": [
        ("section", "Nope", "be one of: Masks, Why A then B", "Masks"),
        ("picture", "x", "be one of: sample, test image", "sample"),
    ],
    "measure": [("sample_temperature", "3", "be a number from 0.0 to 2.0", 1.0)],
    "train": [("tab", "x", "be one of: New run, Runs, Compare", "New run")],
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_control_cannot_take_is_said_and_left_out(name):
    page = open_page(name, {key: value for key, value, _, _ in WRONG[name]})
    assert not page.exception
    text = said(page)
    for key, value, rule, instead in WRONG[name]:
        assert f"{key} (={value!r}) in the link must {rule}" in text
        if instead is not None:
            assert page.session_state[key] == instead
    page.run()
    assert said(page) == text


@pytest.mark.parametrize("seed", [1234567, 2**53 - 1])
def test_a_link_takes_every_seed_that_the_command_takes(seed):
    page = open_page("", {"seed": str(seed)})
    assert not page.warning and page.session_state["drawing"].subject.seed == seed


def test_a_notice_goes_when_its_control_is_set_and_when_the_page_is_left():
    page = open_page("", {"seed": "x"})
    assert "seed (='x')" in said(page)
    page.number_input(key="seed").set_value(7).run()
    assert not page.run().warning
    page = open_page("train", {"tab": "x"})
    assert page.warning
    page.switch_page("pages/measure.py").run()
    assert not page.warning


@pytest.mark.parametrize("name", PAGES)
def test_any_text_in_any_parameter_of_any_page_raises_nothing(name):
    keys = PAGES[name].split()
    texts = st.sampled_from(ODD) | st.text(max_size=40)
    key, values = SECTIONS.get(name, ("v", ["2"]))
    links = st.dictionaries(st.sampled_from(keys), texts, min_size=1, max_size=6)

    @settings(fire, max_examples=5 * HARD)
    @given(links, st.sampled_from(values))
    def attack(query, value):
        page = open_page(name, {key: value} | query)
        assert not page.exception, (query, page.exception[0])

    attack()
