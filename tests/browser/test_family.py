"""The main path of the Family page in a real browser."""

from .player import settled

FAN = ".pxf"


def open_fan(page, address, query=""):
    page.goto(f"{address}/family?{query}")
    page.locator(f"{FAN}[data-position]").wait_for()
    settled(page)


def wait_for(page, condition):
    element = page.locator(FAN).element_handle()
    page.wait_for_function(f"e => {{ const f = e.__fan; return {condition}; }}", arg=element)


def week_place(page, week):
    """Where a week lies on the chart, in the middle of its height."""
    chart = page.locator(".pxf-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    x = page.locator(FAN).evaluate(f"e => e.__fan.x({week})")
    return box["x"] + x, box["y"] + box["height"] / 2


def test_futures_grow_week_by_week_from_where_the_past_is_let_end(page, server):
    open_fan(page, server, "price_past=80&series=2&price_seed=1")
    wait_for(page, "f.past === 80 && f.position > 82")
    page.keyboard.press("End")
    wait_for(page, "f.position === 104 && !f.playing")
    page.get_by_role("button", name="One week back").click()
    page.get_by_text("week 103 of 104").wait_for()
    page.keyboard.press("Home")
    page.get_by_text("week 80 of 104").wait_for()
    assert page.locator(".pxf-readout").inner_text().startswith("Week 81. Given the weeks before")
    page.mouse.move(*week_place(page, 79))
    page.mouse.down()
    page.mouse.move(*week_place(page, 30), steps=5)
    page.mouse.up()
    wait_for(page, "f.past === 30")
    page.wait_for_url("**price_past=30**")
    page.reload()
    page.locator(f"{FAN}[data-position]").wait_for()
    wait_for(page, "f.past === 30")
    page.mouse.move(*week_place(page, 10))
    page.get_by_text("Week 11. Given the weeks before").wait_for()
    truth = page.locator(FAN).evaluate("e => e.__fan.truth[10]")
    assert page.locator(".pxf-readout").inner_text().endswith(f"It was {truth}.")


def test_a_clicked_pixel_shows_what_each_model_expected_there(page, server):
    page.goto(f"{server}/family?family_view=Side+by+side&family_seed=2")
    together = page.locator(".pxt[data-position]")
    together.wait_for()
    together.focus()
    page.keyboard.press("End")
    picture = page.locator(".pxt-picture").first
    picture.scroll_into_view_if_needed()
    side = picture.bounding_box()["width"] / 28
    picture.click(position={"x": 14.5 * side, "y": 12.5 * side})
    page.mouse.move(0, 0)
    page.get_by_text("Row 12, column 14: the same random number").wait_for()
    assert together.evaluate("e => e.__together.pixel") == 12 * 28 + 14
    inked = page.locator(".pxt-expected").evaluate_all(
        "all => all.map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height * 0.8)"
        ".data.some((v) => v > 0))"
    )
    assert inked and all(inked)


def test_the_fan_is_not_wider_than_a_phone(phone, server):
    open_fan(phone, server)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.locator(FAN).evaluate("e => e.scrollWidth <= e.clientWidth + 1")
