"""How tests find and move a live figure in a page."""

from helpers import Explorer


def slider(figure, name):
    return figure.get_by_role("slider", name=name, exact=True)


def number(figure, name):
    return figure.get_by_role("spinbutton", name=f"{name}, as a number", exact=True)


def menu(figure, name):
    return figure.get_by_role("combobox", name=name, exact=True)


def button(figure, name):
    return figure.get_by_role("button", name=name, exact=True)


def sentence(figure):
    """What the figure says in words. Not inner_text: JupyterLab leaves it empty far from the view."""
    return figure.locator("figcaption p").first.text_content()


def pixels(figure):
    """The canvases as PNGs, one after the other, as text."""
    return figure.locator("canvas").evaluate_all("all => all.map(one => one.toDataURL()).join()")


def wait_for(figure, **state):
    """Waits until lesson 02's figure shows the picture of these settings."""
    wait_for_text(figure, Explorer(**state).alt)


def wait_for_text(figure, text):
    figure.page.wait_for_function(
        "([figure, text]) => figure.querySelector('figcaption p').textContent === text",
        arg=[figure.element_handle(), text],
    )


def after(figure, act):
    """What the figure shows, once `act` has changed it."""
    before = figure.get_attribute("data-drawn")
    act()
    figure.page.wait_for_function(
        "([figure, before]) => figure.dataset.drawn !== before",
        arg=[figure.element_handle(), before],
    )
    return pixels(figure), sentence(figure)


TONES = """all => all.map(canvas => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set()
    for (let k = 0; k < data.length; k += 4) seen.add(`${data[k]},${data[k + 1]},${data[k + 2]},${data[k + 3]}`)
    return seen.size })"""


def whole(figure):
    """Whether each canvas is sharp and shows more than an empty frame, once it is in view: what is far
    below is not laid out before."""
    figure.scroll_into_view_if_needed()
    sharp = "all => all.every(one => one.width === Math.round(one.clientWidth * devicePixelRatio) && one.width > 200)"
    canvases = figure.locator("canvas")
    figure.page.wait_for_function(
        f"figure => ({sharp})([...figure.querySelectorAll('canvas')])", arg=figure.element_handle()
    )
    return min(canvases.evaluate_all(TONES)) > 20
