"""Writes the series as pages that need neither a kernel nor the network: `python tests/reading_copy.py FOLDER`.

nbconvert's pages load MathJax and other scripts from the network. Here the formulas are MathML, which browsers draw themselves, in a
font that is put beside the pages (STIX Two Math, under the SIL Open Font License), and the pages have no script at all.
"""

import html
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("[0-9]*.ipynb"))
TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>
@font-face { font-family: formulas; src: url(formulas.ttf) }
math { font-family: formulas, math; font-size: 1.15em } math[display=block] { margin: 1em 0 }
main { max-width: 62rem; margin: auto; padding: 1rem } img { max-width: 100%; height: auto }
.jp-InputArea .highlight pre { white-space: pre-wrap; overflow-wrap: anywhere } .jp-OutputArea-output { overflow-x: auto }
</style>{% endblock %}
{% block body_header %}{{ super() }}{{ resources.bar }}{% endblock %}
{% block body_footer %}{{ resources.bar }}{{ super() }}{% endblock %}"""
INDEX = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 45rem; margin: auto; padding: 1rem }}</style></head>
<body><main><h1>{title}</h1>
<p>A reading copy: text, code, figures and numbers of the lessons. The sliders move in JupyterLab only; here each explorer shows its
first setting.</p>
<ul>{lessons}</ul></main></body></html>"""


class Formulas(IPythonRenderer):
    """Markdown to HTML, formulas to MathML."""

    def inline_math(self, body):
        return convert(body)

    def block_math(self, body):
        return convert(body, display="block")


def title(notebook):
    return re.search(r"^# (.*)", notebook.cells[0].source, re.MULTILINE)[1]


def bar(pages, k):
    """Links to the index and to the neighbours of page k."""
    links = [
        ("index.html", "all lessons"),
        *((name, text) for name, text in (pages[k - 1 : k] + pages[k + 1 : k + 2])),
    ]
    return (
        "<nav>"
        + " · ".join(f'<a href="{name}">{html.escape(text)}</a>' for name, text in links)
        + "</nav>"
    )


def write(folder, notebooks=NOTEBOOKS):
    """Writes index.html and a page for each notebook; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(raw_template=TEMPLATE, exclude_anchor_links=True)
    render = MarkdownWithMath(renderer=Formulas(escape=False, exclude_anchor_links=True)).render
    exporter.register_filter("markdown2html", render)
    read = [(path, nbformat.read(path, as_version=4)) for path in notebooks]
    pages = [(f"{path.stem}.html", title(notebook)) for path, notebook in read]
    for k, (path, notebook) in enumerate(read):
        notebook.metadata["title"] = pages[k][1]
        body, _ = exporter.from_notebook_node(
            notebook, {"metadata": {"name": path.stem}, "bar": bar(pages, k)}
        )
        body = re.sub(r'href="(\w+)\.ipynb(#[^"]*)?"', r'href="\1.html\2"', body)
        (folder / pages[k][0]).write_text(body, encoding="utf-8")
    shutil.copy(
        Path(find_spec("ziamath").origin).parent / "fonts" / "STIXTwoMath-Regular.ttf",
        folder / "formulas.ttf",
    )
    lessons = "".join(f'<li><a href="{name}">{html.escape(text)}</a></li>' for name, text in pages)
    heading = re.search(
        r"^# (.*)",
        (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )[1]
    (folder / "index.html").write_text(
        INDEX.format(title=heading, lessons=lessons), encoding="utf-8"
    )
    return [folder / name for name, _ in [("index.html", ""), *pages]]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(*write(sys.argv[1]), sep="\n")
