"""earn: purchases become points, by the rules of one program file."""
