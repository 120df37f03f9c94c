"""General ability, before and after fine-tuning: what a model forgot while it learned the docs.

`docduet eval general` asks the voices `base` and `sft` the same things, none of them about the docs, and tells the
difference with its interval and an exact test. Two suites: ``probes``, which ships (probes/*.jsonl, checks.py), and
EvalScope's gsm8k, ifeval, mmlu_redux and ceval from local files (scope.py). Answers about the docs are measured
elsewhere (`docduet eval run`).
"""
