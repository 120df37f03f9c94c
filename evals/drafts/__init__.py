"""Question sets drafted by a teacher from the synced pages: `docduet eval make`. A person reads them before they count.

parts.py cuts the pages, prompts.py asks (English, Chinese), replies.py reads strictly, check.py holds each draft
against its page, alike.py keeps out what was asked before, make.py does it all and writes the set.
"""
