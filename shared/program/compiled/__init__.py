"""A program made ready to rate: what does not depend on an event is worked out once a version."""
