"""The exercises of the lessons: each answer in plain lines, the likely mistakes beside it."""
