"""The report out of the database: rows.py reads, evals/report counts, cli.py is `docduet eval report`."""
