"""Benchmarks: this service beside a naive one, on one broker and one Postgres, with identical results."""
