"""Whole answers, measured: a running gateway is asked every question of a set. `docduet eval run --set SET`.

run.py  the whole way      gateway.py, reply.py  asking over HTTP      collect.py, kept.py  many, kept as they come
measure.py  one answer -> evals/runs.py's Result, by
    facts.py  steps.py  citations.py  faithful.py  length.py  degenerate.py  likeness.py, on evidence.py's pages
summary.py  results -> figures with intervals      show.py  the table
"""
