"""What the browser tests do with the canvas of the Complete page."""

from .player import settled

CANVAS = ".pxd"
UNKNOWN, GIVEN, DRAWN = 0, 1, 2


def open_canvas(page, address, query=""):
    page.goto(f"{address}/complete?{query}")
    page.locator(f"{CANVAS}[data-revision]").wait_for()
    gallery(page).first.wait_for()
    settled(page)


def gallery(page, dataset="fashion-mnist"):
    """The pictures of a data set to start from."""
    return page.locator(f".st-key-gallery-{dataset}-gated .pxg button")


def drawing(page):
    """Levels and states, 784 each."""
    return page.locator(CANVAS).evaluate(
        "e => ({level: [...e.__canvas.sketch.level], state: [...e.__canvas.sketch.state]})"
    )


def known(page):
    return {i for i, state in enumerate(drawing(page)["state"]) if state != UNKNOWN}


def point(page, row, col):
    box = page.locator(".pxd-canvas").bounding_box()
    return box["x"] + (col + 0.5) * box["width"] / 28, box["y"] + (row + 0.5) * box["height"] / 28


def hold(page, start, end, button="left"):
    """Drag, and do not let go."""
    page.locator(".pxd-canvas").scroll_into_view_if_needed()
    page.mouse.move(*point(page, *start))
    page.mouse.down(button=button)
    page.mouse.move(*point(page, *end), steps=5)


def drag(page, start, end, button="left"):
    hold(page, start, end, button)
    page.mouse.up(button=button)


def press_keys(page, *keys):
    """Go to the canvas by the keyboard, and press keys there."""
    page.locator(".pxd-level").focus()
    for key in ("Tab", *keys):
        page.keyboard.press(key)


def tool(page, name):
    page.locator(CANVAS).get_by_role("button", name=name, exact=True).click()


def rectangle(top, left, bottom, right):
    return {r * 28 + c for r in range(top, bottom + 1) for c in range(left, right + 1)}


def wait_known(page, count):
    page.locator(f"{CANVAS}[data-known='{count}']").wait_for()
