"""A judge model: are the gold facts stated, do the pages say what an answer says, which of two answers is better.

    docduet eval judge RUN --judge-url http://127.0.0.1:8000/v1 --arms rag,sft

prompts.py asks (English, Chinese), replies.py reads strictly, answers.py and pairs.py judge, results.py is the file.
A judge is a model: agreement.py says how often it votes as people did.
"""
