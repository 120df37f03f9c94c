"""The scorecard: arms and checkpoints side by side, out of evaluation runs. `docduet eval scorecard`.

    inputs.py, abilities.py  files in      measures.py  what is measured      bootstrap.py  intervals
    build.py, worst.py, sentence.py  runs -> results.py      gate.py  may this one be released?
    html.py, markdown.py, chart.py  to read, with words.py and triangle.py

For others: ``build(runs, general) -> Scorecard``, then `to_html`, `to_markdown`, `save_png`. Pure but for inputs.py.
"""

from evals.scorecard.build import build
from evals.scorecard.chart import save_png
from evals.scorecard.html import to_html
from evals.scorecard.markdown import to_markdown
from evals.scorecard.results import Scorecard

__all__ = ["Scorecard", "build", "save_png", "to_html", "to_markdown"]
