"""Program files: the language, the loader (whose errors name the line), and the compiled form."""
