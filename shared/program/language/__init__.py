"""The language of program files: YAML, phrases, sections, and the model that they are read into."""
