"""Reading tasks: numbered passages, a question, and the answer that cites them or says that it is not there."""
