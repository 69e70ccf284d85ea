"""The `loyalty` command: one module a command group."""
