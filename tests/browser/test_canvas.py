"""Drawing on the canvas of the Complete page with mouse, keyboard and finger."""

from .canvas import (
    CANVAS,
    DRAWN,
    GIVEN,
    drag,
    drawing,
    gallery,
    hold,
    known,
    open_canvas,
    point,
    press_keys,
    rectangle,
    settled,
    tool,
    wait_known,
)
from .conftest import free_port, serve
from .player import frame_drawn


def test_a_stroke_has_no_gaps_and_the_size_of_the_brush(page, server):
    open_canvas(page, server)
    tool(page, "1 pixel")
    drag(page, (5, 3), (5, 20))
    assert known(page) == rectangle(5, 3, 5, 20)
    tool(page, "3 pixels")
    page.mouse.click(*point(page, 20, 20))
    assert known(page) == rectangle(5, 3, 5, 20) | rectangle(19, 19, 21, 21)
    shown = drawing(page)
    assert all(shown["level"][i] == 255 and shown["state"][i] == DRAWN for i in known(page))


def test_paint_is_ink_background_any_grey_or_unknown_and_the_right_button_erases(page, server):
    open_canvas(page, server)
    tool(page, "Rectangle")
    drag(page, (2, 3), (9, 12))
    tool(page, "Background")
    drag(page, (4, 5), (6, 7))
    page.locator(".pxd-level").fill("100")
    drag(page, (8, 3), (9, 4))
    tool(page, "Unknown")
    drag(page, (2, 11), (3, 12))
    levels = drawing(page)["level"]
    assert known(page) == rectangle(2, 3, 9, 12) - rectangle(2, 11, 3, 12)
    assert {levels[i] for i in rectangle(4, 5, 6, 7)} == {0}
    assert {levels[i] for i in rectangle(8, 3, 9, 4)} == {100}
    assert levels[2 * 28 + 3] == 255
    tool(page, "Ink")
    drag(page, (2, 3), (4, 12), button="right")
    assert known(page) == rectangle(5, 3, 9, 12)


def test_rows_fill_invert_and_clear(page, server):
    open_canvas(page, server)
    tool(page, "Rows ↑")
    page.mouse.click(*point(page, 3, 10))
    assert known(page) == rectangle(0, 0, 3, 27)
    tool(page, "Rows ↓")
    tool(page, "Background")
    page.mouse.click(*point(page, 20, 10))
    assert known(page) == rectangle(0, 0, 3, 27) | rectangle(20, 0, 27, 27)
    tool(page, "Fill")
    page.mouse.click(*point(page, 10, 10))
    assert len(known(page)) == 784
    assert drawing(page)["level"][10 * 28] == 0 and drawing(page)["level"][0] == 255
    tool(page, "Unknown")
    page.mouse.click(*point(page, 1, 1))
    assert known(page) == rectangle(4, 0, 27, 27)
    tool(page, "Invert known")
    assert known(page) == rectangle(0, 0, 3, 27)
    assert drawing(page)["state"][0] == GIVEN and drawing(page)["level"][0] == 255
    tool(page, "Clear")
    assert not known(page)


def test_every_change_can_be_taken_back_and_done_again(page, server):
    open_canvas(page, server)
    assert page.locator(CANVAS).get_by_role("button", name="Undo").is_disabled()
    seen = [drawing(page)]
    drag(page, (5, 3), (5, 20))
    seen.append(drawing(page))
    tool(page, "Invert known")
    seen.append(drawing(page))
    tool(page, "Clear")
    seen.append(drawing(page))
    for state in reversed(seen[:-1]):
        tool(page, "Undo")
        assert drawing(page)["state"] == state["state"]
    page.locator(".pxd-canvas").focus()
    for state in seen[1:]:
        page.keyboard.press("Control+y")
        assert drawing(page)["state"] == state["state"]
    page.keyboard.press("Control+z")
    assert drawing(page)["state"] == seen[-2]["state"]


def test_the_keyboard_draws(page, server):
    open_canvas(page, server)
    press_keys(page, "1", "Space", "Shift+ArrowRight", "Shift+ArrowRight", "ArrowDown")
    assert known(page) == rectangle(14, 14, 14, 16)
    page.keyboard.press("r")
    page.keyboard.press("k")
    page.keyboard.press("Space")
    page.locator(".pxd-status", has_text="other corner").wait_for()
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    assert known(page) == rectangle(14, 14, 14, 16) | rectangle(15, 15, 17, 16)
    assert drawing(page)["level"][15 * 28 + 15] == 0
    page.keyboard.press("ArrowUp")
    page.keyboard.press("b")
    page.keyboard.press("Delete")
    assert known(page) == rectangle(14, 14, 14, 16) | rectangle(15, 15, 17, 16) - {16 * 28 + 15}
    page.locator(".pxd-status", has_text="row 16, column 15: unknown").wait_for()


def test_escape_and_a_second_finger_leave_a_shape_undone(page, server):
    open_canvas(page, server)
    tool(page, "Rectangle")
    hold(page, (2, 3), (9, 9))
    page.locator(".pxd-canvas").focus()
    page.keyboard.press("Escape")
    page.mouse.up()
    assert not known(page)


def test_a_drawing_that_is_replaced_in_mid_stroke_stays_as_it_was_sent(page, server):
    open_canvas(page, server)
    tool(page, "Rectangle")
    hold(page, (2, 3), (9, 9))
    sent = page.locator(CANVAS).evaluate(
        """e => {
          const canvas = e.__canvas;
          const level = new Uint8Array(784).fill(7), state = new Uint8Array(784).fill(1);
          const head = {...canvas.head, revision: canvas.revision + 1, fresh: false};
          canvas.accept({head, sections: {level, state}});
          return canvas.revision;
        }"""
    )
    page.mouse.move(*point(page, 12, 12))
    page.mouse.up()
    assert sent > 0 and drawing(page) == {"level": [7] * 784, "state": [GIVEN] * 784}


def test_a_mouse_that_only_hovers_leaves_a_rectangle_of_the_keyboard_alone(page, server):
    open_canvas(page, server)
    press_keys(page, "r", "Space", "ArrowDown", "ArrowRight")
    page.mouse.move(*point(page, 25, 25))
    page.mouse.move(*point(page, 26, 26))
    page.keyboard.press("Space")
    assert known(page) == rectangle(14, 14, 15, 15)


def test_known_unknown_and_hinted_pixels_look_different(page, server):
    open_canvas(page, server)
    tool(page, "Rectangle")
    page.locator(".pxd-level").fill("180")
    drag(page, (2, 2), (5, 9))
    tool(page, "Unknown")
    drag(page, (2, 2), (5, 9))
    tool(page, "Invert known")  # now every pixel is given, these with level 180
    page.locator(".pxd-level").fill("180")
    drag(page, (2, 2), (5, 5))
    tool(page, "Unknown")
    drag(page, (10, 2), (12, 9))
    page.mouse.move(1, 1)
    frame_drawn(page)
    looks = page.locator(".pxd-canvas").evaluate(
        """canvas => {
          const size = canvas.width / 28, context = canvas.getContext("2d");
          const part = (row, col, height, width) => [...context.getImageData(
            Math.ceil(col * size), Math.ceil(row * size), width, height).data];
          const inside = (row, col) => part(row + 0.1, col + 0.1, size - 4, size - 4);
          return {given: inside(3, 8), drawn: inside(3, 3), unknown: inside(11, 6),
            edgeOfHints: part(3.5, 5.5, 1, size), edgeOfGiven: part(9.5, 4.5, size, 1)};
        }"""
    )
    colours = {
        name: [tuple(data[i : i + 3]) for i in range(0, len(data), 4)]
        for name, data in looks.items()
    }
    assert set(colours["given"]) == set(colours["drawn"]) == {(180, 180, 180)}
    assert len(set(colours["unknown"])) > 3 and (180, 180, 180) not in colours["unknown"]
    assert any(red > blue + 100 for red, _, blue in colours["edgeOfHints"])  # orange
    assert any(blue > red + 100 for red, _, blue in colours["edgeOfGiven"])


def test_the_drawing_outlives_other_pages_and_a_reload(page, server):
    open_canvas(page, server)
    drag(page, (5, 3), (5, 20))
    tool(page, "Rectangle")
    drag(page, (10, 10), (14, 14))
    before = drawing(page)
    settled(page)
    page.get_by_test_id("stPageLink").filter(has_text="Generate").click()
    page.locator(".pxc[data-position]").wait_for()
    page.get_by_test_id("stPageLink").filter(has_text="Complete").click()
    page.locator(f"{CANVAS}[data-revision]").wait_for()
    assert drawing(page) == before
    settled(page)
    page.reload()
    page.locator(f"{CANVAS}[data-revision]").wait_for()
    assert drawing(page) == before
    tool(page, "Undo")
    assert known(page) == set(range(5 * 28 + 3, 5 * 28 + 22)) | set(range(6 * 28 + 3, 6 * 28 + 22))


def test_the_drawing_outlives_a_server_that_is_started_anew(page):
    port = free_port()
    with serve("app.py", port) as address:
        open_canvas(page, address)
        drag(page, (5, 3), (5, 20))
        settled(page)
        before = drawing(page)
    page.locator("[data-testid=stApp]:not([data-test-connection-state=CONNECTED])").wait_for()
    with serve("app.py", port):
        settled(page)
        assert drawing(page) == before
        drag(page, (20, 3), (20, 20))
        settled(page)
        wait_known(page, 2 * 2 * 19)


MISS_A_STROKE = """() => { // the browser has kept a stroke, the server has not been told
  const memory = JSON.parse(sessionStorage.getItem("pixelcnn-canvas-drawing"));
  memory.now = memory.undo.at(-1);
  sessionStorage.setItem("pixelcnn-canvas-drawing", JSON.stringify(memory));
}"""


def test_a_stroke_that_the_server_missed_when_one_left_is_not_lost(page, server):
    def go_to(name, until):
        page.get_by_test_id("stPageLink").filter(has_text=name).click()
        page.mouse.move(1200, 850)  # else the tip of this link hides the next
        page.locator(until).wait_for()
        settled(page)

    player, canvas = ".pxc[data-position]", f"{CANVAS}[data-revision]"
    open_canvas(page, server)
    drag(page, (5, 3), (5, 20))
    tool(page, "Clear")
    settled(page)
    go_to("Generate", player)
    page.evaluate(MISS_A_STROKE)
    go_to("Complete", canvas)
    wait_known(page, 2 * 19)
    before = drawing(page)
    go_to("Generate", player)
    page.evaluate("() => sessionStorage.clear()")
    go_to("Complete", canvas)
    assert drawing(page) == before  # the server knows it now


def test_a_canvas_mounted_anew_keeps_its_drawing_though_the_link_has_changed(page, server):
    open_canvas(page, server)
    drag(page, (5, 3), (5, 20))
    before = drawing(page)
    undo = page.locator(CANVAS).evaluate(
        """e => {
          const canvas = e.__canvas, nothing = new Uint8Array(784);
          Object.assign(canvas, {sketch: null, revision: null});
          const head = {...canvas.head, link: "another", fresh: false};
          canvas.accept({head, sections: {level: nothing, state: nothing}});
          return canvas.sketch.undoStack.length;
        }"""
    )
    assert undo == 1 and drawing(page) == before


def test_the_drawing_outlives_a_reload_of_another_page(page, server):
    open_canvas(page, server, "completions_shown=1")
    gallery(page).nth(8).click()
    wait_known(page, 784)
    page.get_by_role("button", name="Lower half", exact=True).click()
    wait_known(page, 392)
    settled(page)
    page.get_by_role("button", name="Complete", exact=True).click()
    page.wait_for_url("**drawing=**")  # the canvas remembers under which link it was drawn
    page.locator(".pxr[data-done=true]").wait_for()
    settled(page)
    before = drawing(page)
    page.get_by_test_id("stPageLink").filter(has_text="Generate").click()
    page.locator(".pxc[data-position]").wait_for()
    page.reload()
    page.locator(".pxc[data-position]").wait_for()
    page.get_by_test_id("stPageLink").filter(has_text="Complete").click()
    wait_known(page, 392)
    assert drawing(page) == before


def test_a_finger_draws_on_a_phone_and_nothing_is_too_wide(phone, server):
    open_canvas(phone, server)
    phone.locator(".pxd-canvas").scroll_into_view_if_needed()
    phone.touchscreen.tap(*point(phone, 7, 9))
    assert known(phone) == rectangle(7, 9, 8, 10)
    finger = phone.context.new_cdp_session(phone)
    for kind, at in (("Start", (20, 5)), ("Move", (20, 12)), ("Move", (20, 18)), ("End", None)):
        x, y = (0, 0) if at is None else point(phone, *at)
        points = [] if at is None else [{"x": x, "y": y}]
        finger.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert known(phone) == rectangle(7, 9, 8, 10) | rectangle(20, 5, 21, 19)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.locator(CANVAS).evaluate("e => e.scrollWidth <= e.clientWidth + 1")


def test_pixels_are_whole_device_pixels_at_every_zoom(page, server):
    open_canvas(page, server)
    sizes = []
    for _ in range(4):
        frame_drawn(page)
        sizes.append(page.locator(".pxd-canvas").evaluate("c => c.width"))
        if len(sizes) < 4:
            tool(page, "Larger")
    assert all(size % 28 == 0 for size in sizes) and sizes == sorted(set(sizes))
