"""What readers think of an answer: thumb, reasons, comment, correction."""
