"""``python -m cli`` is ``loyalty``."""

from cli.main import app

app()
