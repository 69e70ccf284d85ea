"""The program file: its language, its loader with errors that name the line, and its compiled form."""
