"""Prints for people what the read side returns: tables, sentences, plots."""
