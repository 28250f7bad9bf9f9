"""What a visitor does with the player, in the words of the tests."""

import numpy as np

WIDTH = HEIGHT = 28
TOTAL = WIDTH * HEIGHT
PLAYER = ".pxc[data-position]"
FIND = """document.querySelector(".st-key-player [data-testid=stBidiComponentIsolated]")
    ?.shadowRoot?.querySelector(".pxc")?.__player"""
READ = """({ __player: p }) => ({position: p.position, total: p.total, playing: p.playing,
    course: p.trace.name, picture: p.picture})"""

RESTED = """() => {
    const app = document.querySelector("[data-testid=stApp]"), now = performance.now();
    if (app?.dataset.testScriptState !== "notRunning") window.ranAt = now;
    window.askedAt ??= now;
    const fading = document.getAnimations().some(
        a => a.playState === "running" && a.effect.getComputedTiming().iterations < Infinity);
    const rested = !fading && now - Math.max(window.askedAt, window.ranAt ?? 0) > 150;
    if (rested) window.askedAt = undefined;
    return rested; }"""


def settled(page):
    """Wait until the page rests; a moment longer, since a rerun begins when the server says so."""
    page.wait_for_selector(
        "[data-testid=stApp][data-test-script-state=notRunning]"
        "[data-test-connection-state=CONNECTED]"
    )
    page.wait_for_function(RESTED)


def frame_drawn(page):
    """Wait until what was just done is on the screen."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def open_player(page, address, query=""):
    page.goto(f"{address}/?{query}")
    page.locator(PLAYER).wait_for()
    settled(page)


def state(page):
    return page.locator(PLAYER).evaluate(READ)


def wait_for(page, condition, *arguments):
    """Wait until a condition on the player holds; `p` is the player, `a` the arguments."""
    page.wait_for_function(
        f"a => {{ const p = {FIND}; return p?.trace && ({condition}); }}", arg=list(arguments)
    )


def finish(page):
    """Go to the end; returns the levels."""
    page.locator(".st-key-player").get_by_role("button", name="To the end").click()
    wait_for(page, "p.done && p.position === p.total")
    return page.locator(PLAYER).evaluate("e => [...e.__player.trace.level]")


def pause(page):
    if state(page)["playing"]:
        page.get_by_role("button", name="Pause", exact=True).click()
    wait_for(page, "!p.playing")


def press(page, slider, key, times=1):
    thumb = page.get_by_role("slider", name=slider)
    thumb.focus()
    for _ in range(times):
        thumb.press(key)


def centre(page, position):
    """Where a pixel of the picture is on the screen."""
    page.locator(".px-overlay").scroll_into_view_if_needed()
    box = page.locator(".px-overlay").bounding_box()
    row, col = divmod(position, WIDTH)
    return (
        box["x"] + (col + 0.5) * box["width"] / WIDTH,
        box["y"] + (row + 0.5) * box["height"] / HEIGHT,
    )


def pin(page, position):
    page.mouse.click(*centre(page, position))
    page.mouse.move(0, 0)
    wait_for(page, "p.pinned === a[0] && p.hovered === -1 && !p.dirty", position)


def say_nothing_more(page):
    """Wait until the sentence under the picture is about the selected pixel."""
    wait_for(page, "!p.playing && !p.dirty")
    return page.locator(".pxc-narration").inner_text()


def unpin(page):
    page.locator(".pxc-unpin").click()
    page.mouse.move(0, 0)
    wait_for(page, "p.pinned === -1 && !p.dirty")


def colours(page, canvas, width=WIDTH, height=HEIGHT):
    """Red, green, blue and alpha at the centre of every pixel of the picture: (H*W, 4)."""
    return np.array(
        page.locator(canvas).evaluate(
            "(c, [w, h]) => { const x = c.getContext('2d'), out = [];"
            " for (let p = 0; p < w * h; p++) out.push([...x.getImageData("
            "Math.floor((p % w + .5) * c.width / w),"
            " Math.floor((Math.floor(p / w) + .5) * c.height / h), 1, 1).data]); return out; }",
            [width, height],
        )
    )
