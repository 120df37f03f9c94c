"""Samples without a teacher: page -> blocks -> facts -> questions and answers, by rules, the same every time."""
