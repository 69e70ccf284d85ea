"""Frozen views: what readers are shown."""
