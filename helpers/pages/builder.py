"""Makes the pages: the lessons from the committed notebooks, as they are stored, and an index."""

import ast
import base64
import contextlib
import html
import io
import re
import struct
import symtable
from importlib.metadata import distribution
from pathlib import Path

import nbformat
from fontTools import subset
from fontTools.ttLib import TTFont
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, PythonLexer

from . import figures

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
FONT = distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf")
FORMATTER = HtmlFormatter(nowrap=True)
PAGE = (figures.HERE / "page.html").read_text("utf-8")
STYLE = (figures.HERE / "page.css").read_text("utf-8")


# --- text and code ------------------------------------------------------------------------------


class Text(IPythonRenderer):
    """Markdown as HTML: formulas as MathML, and links between lessons lead to their pages."""

    def inline_math(self, body):
        return formula(body)

    def block_math(self, body):
        return f'<div class="wide">{formula(body, display="block")}</div>'

    def table(self, text):
        return f'<div class="wide"><table>{text}</table></div>\n'

    def block_code(self, code, info=None):
        return listing(code, BashLexer if info == "bash" else PythonLexer)

    def link(self, text, url, title=None):
        return super().link(text, re.sub(r"^(\w+)\.ipynb", r"\1.html", url), title)


def formula(body, display="inline"):
    """A formula as MathML, mended where browsers draw it badly: accents that touch their letter, a bar that
    does not stretch, and a sign that looks like a difference."""
    found = convert(body, display=display).replace("\\_", "_").replace(' accent="true"', "")
    found = found.replace("<mo>&#x02015;", "<mo>&#x0203E;")
    before = r"((?:&#x00028;|&#x0003D;|&#x0002C;|=|\(|,)</mo>)<mo>&#x02212;"
    return re.sub(before, r'\1<mo form="prefix">&#x02212;', found)


def text(source):
    """Markdown as HTML."""
    return MarkdownWithMath(renderer=Text(escape=False, exclude_anchor_links=True)).render(source)


def listing(code, lexer=PythonLexer):
    """Code as HTML, with its words marked for the style."""
    return f'<pre class="code"><code>{highlight(code, lexer(), FORMATTER).rstrip()}</code></pre>\n'


def folded(summary, inside, kind):
    """What opens by a click or a key, with scripts or without."""
    return f'<details class="{kind}"><summary>{summary}</summary>\n{inside}</details>\n'


def formula_font(signs):
    """The style that brings a font for these signs in formulas, which few systems have: STIX Two Math,
    under the SIL Open Font License."""
    options = subset.Options(flavor="woff", layout_features=["ssty", "dtls"], hinting=False)
    options.name_IDs, small = [0, 13, 14], io.BytesIO()  # whose it is, and its licence
    font = TTFont(FONT)
    italics = *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C)  # what single letters turn into
    chosen = subset.Subsetter(options)
    chosen.populate(text=signs + "√ℎ" + "".join(map(chr, italics)))
    chosen.subset(font)
    font.flavor = "woff"
    font.save(small)
    data = figures.base64_of(small.getvalue())
    return f'@font-face {{ font-family: formulas; src: url("data:font/woff;base64,{data}") }}\n'


# --- outputs ------------------------------------------------------------------------------------


def picture(output):
    """A stored picture, with its alternative text and its size."""
    code, about = output.data["image/png"].strip(), output.metadata.get("image/png", {})
    wide, high = struct.unpack(">II", base64.b64decode(code[:32])[16:24])
    width = about.get("width", wide)
    size = f'width="{width}" height="{round(width * high / wide)}"'
    alt = html.escape(about.get("alt", ""))
    return f'<img alt="{alt}" {size} src="data:image/png;base64,{code}">'


def printed(said, guess):
    """What a cell printed, as HTML. guess: the number of the field whose prediction stands in it."""
    said = re.sub(r" \(You did not write a prediction.*?\)", "", said)
    place = rf'my guess: <span data-guess="guess-{guess}">–</span>'
    said = re.sub(r"my guess: (None|\[\])", place, html.escape(said, quote=False))
    return f'<pre class="printed">{said.rstrip()}</pre>\n' if said.strip() else ""


def outputs(cell, guess):
    """The stored outputs of a cell as HTML. Several prints in a row are one."""
    parts, streams = [], []
    for output in [*cell.outputs, {}]:
        if output.get("output_type") == "stream":
            streams.append(output.text)
            continue
        parts.append(printed("".join(streams), guess))
        data, streams = output.get("data", {}), []
        if "image/png" in data:
            parts.append(f"<figure>{picture(output)}</figure>\n")
        else:
            parts.append(printed(data.get("text/plain", ""), guess))
    return "".join(parts)


# --- explorers ----------------------------------------------------------------------------------


def names(source):
    """The names that a cell's code makes, and those that it needs of others."""
    table = symtable.symtable(source, "cell", "exec")
    made = {one.get_name() for one in table.get_symbols() if one.is_local()}
    needed, tables = {one.get_name() for one in table.get_symbols()}, table.get_children()
    while tables:
        inner = tables.pop()
        needed |= {one.get_name() for one in inner.get_symbols() if one.is_global()}
        tables += inner.get_children()
    return made, needed - made


def explorer(cells, k):
    """The explorer that cell k makes: runs it, after those of the cells before that it needs."""
    (_, needed), sources = names(cells[k].source), [cells[k].source]
    for cell in reversed([cell for cell in cells[:k] if cell.cell_type == "code"]):
        made, others = names(cell.source)
        if made & needed:
            needed = needed - made | others
            sources.insert(0, cell.source)
    space, last = {}, ast.parse(sources.pop())
    asked = ast.Expression(last.body.pop().value)
    with contextlib.redirect_stdout(io.StringIO()):
        for part in (*map(ast.parse, sources), last):
            exec(compile(part, "notebook", "exec"), space)  # noqa: S102, the code is our own
        return eval(compile(asked, "notebook", "eval"), space)


def still(cell):
    """The picture that is stored for a live figure, None if a cell has none."""
    stored = [
        part for part in cell.outputs if "live-still" in part.get("data", {}).get("text/html", "")
    ]
    return stored[0] if stored else None


def moving(cells, k):
    """The live figure of cell k as HTML; of the playground its picture, and what it needs."""
    stored = still(cells[k])
    words = html.escape(stored.metadata["image/png"]["alt"])
    shown = f"<figure>{picture(stored)}<figcaption>{words}</figcaption></figure>"
    if "Playground(" in cells[k].source:
        note = "The playground trains a network, and needs a kernel: open this lesson in JupyterLab to move it."
        return f'<div class="explorer">{shown}<p class="note">{note}</p></div>'
    made = explorer(cells, k)
    buttons = "".join(
        f'<p class="note">The button <em>{name}</em> is in JupyterLab only.</p>'
        for name, _ in made.buttons
    )
    noscript = "<noscript><p>With scripts, this figure moves.</p></noscript>"
    return figures.figure(made, shown + noscript, buttons)


# --- pages --------------------------------------------------------------------------------------


def lesson(cells):
    """The cells of a notebook as HTML.

    Collapsed outputs, and the claim that follows them, open behind "Show what happens". Code that a
    notebook hides is folded, too.
    """
    parts, hidden, guess = [], [], 0

    def code(cell):
        source = listing(cell.source)
        return folded("The code", source, "fold") if hides(cell, "source_hidden") else source

    for k, cell in enumerate(cells):
        anchor = f'<div class="cell" id="cell-id={cell.id}">'
        if cell.cell_type == "code" and hides(cell, "outputs_hidden"):
            after = hides(cell, "source_hidden")
            parts += [] if after else [code(cell)]
            hidden += [anchor, outputs(cell, guess), code(cell) if after else "", "</div>"]
            continue
        source = cell.source
        if hidden:
            claim = ""
            if source.startswith("**") and not source.startswith("**Predict"):
                claim, _, source = source.partition("\n\n")
            parts.append(folded("Show what happens", "".join(hidden) + text(claim), "reveal"))
            hidden = []
        if cell.cell_type == "markdown":
            parts += [anchor, text(source), "</div>"]
            if "**Predict.**" in source:
                guess += 1
                parts.append(FIELD.format(guess))
            continue
        exercise = re.search(r"^check\(", cell.source, re.MULTILINE)
        shown = EXERCISE if exercise else moving(cells, k) if still(cell) else outputs(cell, guess)
        parts += [anchor, code(cell), shown, "</div>"]
    parts += [folded("Show what happens", "".join(hidden), "reveal")] if hidden else []
    return "".join(parts)


FIELD = """<div class="predict"><label for="guess-{0}">Your prediction</label>
<textarea id="guess-{0}" rows="2" autocomplete="off"></textarea></div>
"""
EXERCISE = (
    '<p class="note">An exercise: write it in JupyterLab, where <code>check</code> answers.</p>\n'
)


def hides(cell, what):
    """Whether a notebook collapses a cell's source or outputs."""
    return cell.metadata.get("jupyter", {}).get(what, False)


def readme():
    """Of the README: the title, the explanation, the command, and each lesson's question, answer and minutes."""
    source = (ROOT / "README.md").read_text("utf-8")
    title = re.search(r"^# (.*)", source, re.MULTILINE)[1]
    about = re.search(r"\n\n(Deeper.*?)\n\n", source, re.DOTALL)[1]
    command = re.search(r"```bash\n(.*?)\n```", source)[1]
    row = r"^\| (\d\d) \|.*?\(notebooks/(\w+)\.ipynb\) \| \*\*(.+?)\*\* (.+?) \| (\d+) min \|"
    return title, about, command, re.findall(row, source, re.MULTILINE)


def bar(rows, now=None):
    """The links above a page: the index, and the nine as one line of progress."""
    home = ' aria-current="page"' if now is None else ""
    links = [f'<a class="home" href="index.html"{home}>All lessons</a><ol>']
    for k, (number, name, question, *_) in enumerate(rows):
        current = ' aria-current="page"' if k == now else ""
        told = html.escape(f"Lesson {number}: {question}")
        done = ' class="before"' if now is not None and k < now else ""
        links.append(
            f'<li{done}><a href="{name}.html" title="{told}" aria-label="{told}"{current}>{number}</a></li>'
        )
    return "".join(links) + "</ol>"


def neighbours(rows, now):
    """The links below a page: the lesson before, and the next one."""
    links = []
    for k, word in ((now - 1, "Before"), (now + 1, "Next")):
        if 0 <= k < len(rows):
            number, name, question, *_ = rows[k]
            links.append(
                f'<a class="{word.lower()}" href="{name}.html"><span>{word}: lesson {number}</span>{html.escape(question)}</a>'
            )
    return f'<nav class="neighbours" aria-label="Neighbours">{"".join(links)}</nav>'


def index(title, about, command, rows, first, repository):
    """The main part of index.html. first: a live figure."""
    items = [
        f'<li><a href="{name}.html"><span class="number">{number}</span><h3>{html.escape(question)}</h3>'
        f'<p>{html.escape(told)}</p><span class="minutes">{minutes} minutes</span></a></li>'
        for number, name, question, told, minutes in rows
    ]
    place = "the course's folder"
    if repository:
        place = f'<a href="https://github.com/{repository}">the repository</a>'
    return f"""<h1>{html.escape(title)}</h1>
<div class="lead">{text(about)}</div>
<h2>A network of 50 layers, in this page</h2>
<p>Drag <em>gain</em>. Where does the signal neither fade nor explode?</p>
{first}
<h2>The series</h2>
<ol class="lessons">{"".join(items)}</ol>
<h2>Run the notebooks</h2>
<p>These pages show the lessons. To change the code and to do the exercises, open them in JupyterLab: with Python 3.11 to 3.13, type in {place}:</p>
{listing(command, BashLexer)}"""


def write(folder, repository=""):
    """Writes index.html and a page for each notebook; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    title, about, command, rows = readme()
    mains = {path.stem: lesson(nbformat.read(path, as_version=4).cells) for path in NOTEBOOKS}
    live = r'<div class="explorer" role.*?</script></div>'
    first = re.search(live, mains[rows[1][1]], re.DOTALL)[0]  # lesson 02's
    formulas = "".join(re.findall(r"<math.*?</math>", "".join(mains.values()), re.DOTALL))
    font = formula_font(html.unescape(re.sub(r"<.*?>", "", formulas)))
    paths = []

    def page(name, title, about, now, main, footer):
        scripts = figures.scripts("application/json" in main)
        look = font + STYLE if "<math" in main else STYLE
        texts = {"title": html.escape(title), "about": html.escape(" ".join(about.split()))}
        paths.append(folder / f"{name}.html")
        texts |= {"style": look, "bar": bar(rows, now), "main": main}
        paths[-1].write_text(PAGE.format(**texts, footer=footer, scripts=scripts), "utf-8")

    page("index", title, about, None, index(title, about, command, rows, first, repository), "")
    for name, main in mains.items():
        now = [row[1] for row in rows].index(name)
        question = f"{rows[now][0]} · {rows[now][2]}"
        page(name, question, rows[now][3], now, main, neighbours(rows, now))
    return paths
