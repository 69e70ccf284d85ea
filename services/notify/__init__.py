"""notify: who must hear what, when, once. The only service that holds personal data."""
