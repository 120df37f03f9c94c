"""The report: what votes, thumbs, answers and evaluation runs prove, and what they do not. `docduet eval report`.

    inputs.py  what goes in      build.py  inputs -> results.py      stats.py  the statistics      sentence.py  in words
    html.py, forest.py, words.py  to read      table.py  CSV      chart.py  PNG

Pure. Whoever has the database reads it into `Inputs` (serving/report/rows.py).
"""
