"""The paradox: pictures of another kind can be more probable than those that were learned."""

from collections.abc import Generator

import numpy as np
import streamlit as st

from pixelcnn.data.datasets import DataError, data_dir, dataset_of, load_dataset, quantize
from pixelcnn.data.pictures import Picture, sheet
from pixelcnn.evaluation.paradox import (
    SCORES,
    Paradox,
    describe,
    make_sets,
    measure_paradox,
    other_dataset,
    second_checkpoint,
    set_title,
)
from pixelcnn.evaluation.stored import percent
from pixelcnn.storage import CheckpointError
from pixelcnn.ui.measure.live import (
    ask_images,
    choose_numbers,
    content_of,
    learned_whole_set,
    stored_numbers,
)
from pixelcnn.ui.shared.chart_view import offer_data, show_chart
from pixelcnn.ui.shared.charts.measured import SCORE_TITLES, auroc_chart, paradox_chart
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.real_images import test_set
from pixelcnn.ui.shared.resources import LoadedModel, load

EXAMPLES = 8
"""Pictures at each end."""


def show(model: LoadedModel) -> None:
    """Show stored numbers, or measure them here."""
    if not learned_whole_set(model):
        return
    dataset = model.info.dataset
    own, other = dataset_of(dataset), dataset_of(other_dataset(dataset))
    if own.shape != other.shape:
        st.info(
            f"{own.title} has pictures of {' x '.join(map(str, own.shape[1:]))} pixels in "
            f"{own.shape[0]} channels, {other.title} has not: the paradox is tried only with grey "
            f"pictures of {' x '.join(map(str, other.shape[1:]))} pixels.",
            icon=":material/info:",
        )
        return
    st.caption(
        f"Is a picture of {other.title} improbable for a model of {own.title}? One would think "
        f"so. {_known(dataset)}"
    )
    live = choose_numbers("paradox")
    paradox = _measured_here(model) if live else stored_numbers("paradox", model, Paradox, _about)
    if paradox is None:
        return
    st.markdown("\n".join(f"- {sentence}" for sentence in describe(paradox)))
    _background(paradox)
    score = bound(
        st.segmented_control,
        "Score",
        paradox.scores,
        default="likelihood",
        required=True,
        key="score",
        format_func=SCORE_TITLES.get,
        help="Likelihood: bits/dim. Less the compressed size: Serra et al. 2020. Ratio: Ren et "
        "al. 2019.",
    )
    st.caption(_explanation(score, paradox))
    show_chart(paradox_chart(paradox, score), f"histogram-{score}")
    _both_ends(paradox, score)
    st.markdown("#### Which score tells the sets apart?")
    st.caption(
        "Take one picture of the other set and one of "
        f"{own.title}. How often does the score find the former less usual? 1 is always, 0.5 is "
        "no better than tossing a coin, and below 0.5 it mostly says the opposite of the truth. "
        "This number is called AUROC."
    )
    show_chart(auroc_chart(paradox), "auroc")
    offer_data("every-picture", _columns(paradox), "every-picture", "Data of every picture")
    if "ratio" not in paradox.scores:
        st.info(
            f"The ratio of two models (Ren et al. 2019) needs a checkpoint that learned "
            f"{other.title}; there is none in these numbers.",
            icon=":material/info:",
        )


def _both_ends(paradox: Paradox, score: str) -> None:
    """Show the real pictures that the score finds the most and the least usual."""
    for name in (paradox.dataset, other_dataset(paradox.dataset)):
        values, title = np.array(paradox.score(score, name)), dataset_of(name).title
        order = values.argsort()
        ends = {"Most": order[:EXAMPLES], "Least": order[-EXAMPLES:]}
        for column, (what, chosen) in zip(st.columns(2), ends.items(), strict=True):
            shown = _row(name, tuple(chosen.tolist()))
            if shown is None:
                st.caption(f"Where {title} is on the computer, examples of it stand here.")
                return
            least, most = values[chosen].min(), values[chosen].max()
            caption = f"{what} usual of {len(values):,} of {title}: {least:.2f} to {most:.2f}"
            column.image(shown, caption=caption, alt=caption, width="stretch")


@st.cache_data(max_entries=32, show_spinner=False, ttl=600)
def _row(name: str, chosen: tuple[int, ...]) -> Picture | None:
    """Lay out some test images; None if they are not there."""
    try:
        images, _ = load_dataset(name, "test", download=False)
    except DataError:
        return None
    if max(chosen) >= len(images):
        return None
    return sheet(images[list(chosen)].long(), 256, columns=EXAMPLES, scale=2)


def _known(dataset: str) -> str:
    """Say what is known from the literature about a model of this data set."""
    cited = "Nalisnick et al. 2019 ([1810.09136](https://arxiv.org/abs/1810.09136))"
    if dataset == "fashion-mnist":
        return f"{cited} found the opposite: models of Fashion-MNIST give MNIST more likelihood."
    return (
        f"{cited} found that models of Fashion-MNIST give MNIST *more* likelihood than clothes; "
        f"of models of {dataset_of(dataset).title} they claim no such thing. Below is what holds "
        "for this one."
    )


def _background(paradox: Paradox) -> None:
    """Show how much of each set is black background, which hardly costs anything."""
    lines, columns = [], {"set": [], "background": [], "bits_background": [], "bits_other": []}
    for name, (share, dark, other) in paradox.background.items():
        title = set_title(name, paradox.dataset)
        free = f"{dark:.2f}" if share > 0 else "none"
        rest = f"{other:.2f}" if share < 1 else "none"
        lines.append(f"| {title} | {percent(share, 0)} | {free} | {rest} |")
        numbers = (title, share, dark if share > 0 else None, other if share < 1 else None)
        for column, value in zip(columns, numbers, strict=True):
            columns[column].append(value)
    with st.expander("Where do the bits go?"):
        st.markdown(
            "| Set | Pixels of level 0 | Bits for one of these | Bits for any other pixel |\n"
            "|---|---|---|---|\n" + "\n".join(lines)
        )
        st.caption(
            "Bits/dim is a mean over all pixels. Where the background is nearly free, a picture "
            "with more of it can be more probable although each of its other pixels costs more."
        )
        offer_data("background", columns, "background")


def _explanation(score: str, paradox: Paradox) -> str:
    own = dataset_of(paradox.dataset).title
    other = dataset_of(other_dataset(paradox.dataset)).title
    if score == "likelihood":
        return (
            "Bits/dim of each picture, by the model without a class: the sum of what its "
            "pixels cost, cheap background included."
        )
    if score == "complexity":
        return (
            "Bits/dim minus the size of the smaller of PNG and gzip, in bits/dim (Serra et al. "
            "2020, [1909.11480](https://arxiv.org/abs/1909.11480)): how much more the model needs "
            "than a compressor that knows nothing, below 0 if it needs less. A simple picture is "
            "expected to cost little, so it no longer counts as probable for that alone."
        )
    return (
        "Bits/dim by this model minus bits/dim by the second one (after Ren et al. 2019, "
        "[1906.02845](https://arxiv.org/abs/1906.02845)): what both find easy cancels. Ren et al. "
        f"train the second model on perturbed pictures of {own}; here it is a model of {other}, "
        f"which has learned just what is to be distinguished from {own}: that is easier."
    )


def _columns(paradox: Paradox) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {"set": [], "image": []}
    for name, bits in paradox.bits_per_dim.items():
        columns["set"] += [set_title(name, paradox.dataset)] * len(bits)
        columns["image"] += list(range(len(bits)))
    for score in paradox.scores:
        columns[SCORES[score]] = [v for n in paradox.bits_per_dim for v in paradox.score(score, n)]
    return columns


def _about(paradox: Paradox) -> str:
    images = len(paradox.bits_per_dim[paradox.dataset])
    return f"{images} pictures of each set, scored without a class"


def _measured_here(model: LoadedModel) -> Paradox | None:
    images = ask_images("paradox")
    dataset = model.info.dataset
    names = (dataset, other_dataset(dataset))
    sets = [test_set(name, f"download-{name}") for name in names]
    if any(part is None for part in sets):
        return None
    num_levels = model.model.config.num_levels
    second = second_checkpoint(model.info)
    try:
        loaded = load(str(second)) if second is not None else None
    except CheckpointError as error:
        st.warning(f"No second model: {literal(error)}", icon=":material/warning:")
        loaded = None

    def work() -> Generator[float, None, Paradox]:
        own, other = (quantize(levels[:images], num_levels) for levels, _ in sets)
        tried = make_sets(own, other, names, num_levels)
        return measure_paradox(model.model, loaded and loaded.model, dataset, tried)

    return result_of(
        ("paradox", content_of(model), loaded and content_of(loaded), str(data_dir()), images),
        work,
        slot="paradox",
        button=f"Score {5 * images:,} pictures",
        what="Scoring",
    )
