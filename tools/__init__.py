"""Generators of documents, and the check that event schemas stay compatible; not installed."""
