"""The terms that matter, each explained once, and the pages whose introduction explains them."""

TERMS = {
    "bits": "How surprising something is: 1 bit is as surprising as heads in one toss of a coin, "
    "10 bits as heads in ten tosses in a row.",
    "bits/dim": "The bits that a picture costs, divided by the number of its levels. Lower is "
    "better.",
    "surprise": "The bits of the level that is really there: many if the network thought it "
    "improbable.",
    "entropy": "The surprise that the network expects at a pixel, before the level is known: 0 if "
    "it is certain.",
    "u": "The random number from 0 to 1 that decides which level is drawn: the dice of a pixel.",
    "temperature": "Below 1 likely levels become likelier, above 1 all become more alike.",
    "top-k": "Only the k most probable levels may be drawn.",
    "top-p": "Only the most probable levels that together have a probability of p may be drawn.",
    "receptive field": "All pixels that can influence a prediction.",
    "blind spot": "Earlier pixels, near enough to be read, that still cannot influence a "
    "prediction.",
    "prefix": "Known pixels that all come before the unknown ones in the order of drawing. Then "
    "drawing the rest is exact.",
    "particles": "Pictures drawn at the same time; those that fit what is known are kept and "
    "copied, the others are dropped.",
}
OF_PAGE = {
    "Generate": ("u", "temperature", "top-k", "top-p", "entropy", "surprise"),
    "Complete": ("prefix", "particles", "bits"),
    "Masks": ("receptive field", "blind spot"),
    "Measure": ("bits", "bits/dim", "surprise", "entropy", "temperature"),
    "Family": ("bits/dim", "prefix", "receptive field"),
    "Train": ("bits/dim",),
}
"""By the title of a page."""


def explain(title: str) -> str | None:
    """Explain the terms of a page, as Markdown for a tooltip; None if it has none."""
    lines = [f"**{term}**: {TERMS[term]}" for term in OF_PAGE.get(title, ())]
    return "\n\n".join(lines) or None
