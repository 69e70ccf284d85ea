"""Validation of program files: what is wrong, and what is probably not meant (warnings)."""
