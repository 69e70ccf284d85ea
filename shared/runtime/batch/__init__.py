"""The life of a batch and of a sweep in one partition."""
