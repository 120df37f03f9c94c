"""The report: what the votes prove, as the gateway draws it, with filters and downloads."""
