"""Section Masks: the kernels A and B, what they read of a picture, and the learned weights."""

import streamlit as st

from pixelcnn.inspection.kernels import input_names, kernel_paths
from pixelcnn.masks import channel_mask
from pixelcnn.ui.masks import panels
from pixelcnn.ui.masks.board import Board, Frames, Panel, board
from pixelcnn.ui.masks.computed import one_kernel
from pixelcnn.ui.masks.shown import ShownPicture, has_masks, pixel_board, pixel_of_link
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.resources import LoadedModel

SIZES = (3, 5, 7, 9)
DILATIONS = (1, 2, 4, 8)
TOGETHER = "all together"
CHANNELS = "RGB"


def show(model: LoadedModel, shown: ShownPicture) -> None:
    """Draw the section."""
    st.markdown(
        "The network is a stack of layers. Each moves a small window of weights, its kernel, over "
        "the picture, and computes numbers for every pixel, its features. A prediction may use "
        "only what came before it, so the rest of a masked kernel is multiplied by 0. **Mask A**, "
        "for the first layer, which reads the picture, also hides the centre: the pixel to be "
        "predicted. **Mask B**, for all later layers, reads its centre: the features there never "
        "knew the pixel. " + getattr(model.model, "about_masks", "")
    )
    _sliding(model, shown)
    _channel_rule(model)
    st.divider()
    _weights(model)


def _sliding(model: LoadedModel, shown: ShownPicture) -> None:
    config = model.model.config
    left, right, _ = st.columns([5, 4, 3])
    size = bound(
        left.segmented_control,
        "Kernel size", SIZES, default=5, required=True, key="kernel",
        help="Rows and columns of the window: odd, so that it has a centre.",
    )  # fmt: skip
    dilation = bound(
        right.segmented_control,
        "Dilation", DILATIONS, default=1, required=True, key="dilation",
        help="Distance between two entries, in pixels. The first layer always has 1.",
    )  # fmt: skip
    sliding_board(
        (panels.mask_panel(size, "A", dilation), panels.mask_panel(size, "B", dilation)),
        panels.picture_panel(
            shown.levels, config.num_levels, "Slide the kernel", captions=[shown.title]
        ),
        pixel_of_link("pixel", config),
        hint="Point at an entry of a mask to see which pixel it reads; drag the kernel over "
        "the picture, or use the arrow keys.",
        key="sliding",
    )


def sliding_board(
    masks: tuple[Panel, Panel], picture: Panel, pixel: int, *, hint: str, key: str
) -> None:
    """Mount a board on which kernels slide over a picture."""
    total = picture.height * picture.width
    pixel_board(
        Board(
            panels=(*masks, picture),
            legend=panels.KERNEL_LEGEND,
            frames=Frames(count=total, per_second=30, slides="pixel", button="Slide"),
            hint=hint,
        ),
        pixel,
        key=key,
    )


def _channel_rule(model: LoadedModel) -> None:
    is_colour = model.model.config.num_channels == 3
    with st.expander("Colour: the rule for R, G and B within one pixel", expanded=is_colour):
        st.markdown(
            "In a colour image a pixel has three numbers, predicted in the order R, G, B. The "
            "centre of a kernel is open only between these: rows are what is predicted, columns "
            "what is read of the same pixel: with A its levels, with B features, which know the "
            "levels of earlier channels only. "
            + (
                "This model works this way."
                if is_colour
                else "The loaded model is grey: one channel, so its centre is open (B) or not (A)."
            )
        )
        for column, mask_type in zip(st.columns(2), ("A", "B"), strict=True):
            column.markdown(f"**Mask {mask_type}**\n\n{channel_table(mask_type)}")


def channel_table(mask_type: str) -> str:
    """Write the 3x3 table of the channel rule as Markdown, from the mask itself."""
    mask = channel_mask(3, 3, 3, mask_type)
    rows = [
        f"| **{CHANNELS[out]}** | " + " | ".join("reads" if v else "·" for v in row) + " |"
        for out, row in enumerate(mask.tolist())
    ]
    return "\n".join(["| predicts \\ of | R | G | B |", "|---|---|---|---|", *rows])


def _weights(model: LoadedModel) -> None:
    st.markdown("#### Learned weights under the mask")
    paths = kernel_paths(model.model)
    if not has_masks(model):
        return
    layer, feature, source = st.columns([5, 2, 3])
    older = {title: path for path, title in paths.items()}.get(st.query_params.get("layer"))
    if older is not None:  # links from before the control had a name of its own
        st.session_state.setdefault("weights_layer", older)
    path = bound(
        layer.selectbox,
        "Layer", list(paths), format_func=paths.__getitem__, key="weights_layer",
        help="Every convolution of the loaded model, in the order of use.",
    )  # fmt: skip
    kernel = one_kernel(model.model, path)
    outputs, inputs = kernel.weights.shape[:2]
    # Another layer or model has fewer features: a number that is too large becomes the last.
    if st.session_state.get("feature", 0) >= outputs:
        st.session_state["feature"] = outputs - 1
    output = bound(
        feature.number_input,
        "Feature", 0, outputs - 1, key="feature",
        help=f"Output feature, 0 to {outputs - 1}. Or click one in the overview.",
    )  # fmt: skip
    names = input_names(model.model.config) if path.startswith("first") else None
    options = [TOGETHER, *map(str, range(inputs))]
    chosen = bound(
        source.selectbox,
        "Input", options, key="input",
        format_func=lambda v: v if v == TOGETHER or not names else f"{v}: {names[int(v)]}",
        help="One input feature, or the Euclidean norm over all of them.",
    )  # fmt: skip
    one = None if chosen == TOGETHER else int(chosen)

    def pick(_: str, cell: int) -> None:
        output, source = panels.feature_at(kernel, cell)
        st.session_state["feature"] = output
        if source is not None:
            st.session_state["input"] = str(source)

    board(
        Board(
            panels=(
                panels.weights_panel(kernel, output, one),
                panels.overview_panel(kernel, output, one),
            ),
            marks={"feature": panels.cell_of(kernel, output, one)},
            hint=f"{kernel.title}: {outputs} features, each reads {inputs} inputs.",
        ),
        key="weights",
        on_pick=pick,
    )
