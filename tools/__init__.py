"""Generators of documents, and the compatibility check of event schemas; not installed."""
