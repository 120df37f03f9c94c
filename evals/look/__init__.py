"""How the report of the votes and the scorecard look: one style, one set of shared words, one way to draw.

html.py, *.css  pages      chart.py  PNG      words.py  English and Chinese      text.py  text of others
"""
