"""Benchmarks: the product beside a naive version, on one broker and one Postgres, with identical results."""
