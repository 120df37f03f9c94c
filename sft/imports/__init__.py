"""Your own questions and answers, support tickets and corrected answers, as samples."""
