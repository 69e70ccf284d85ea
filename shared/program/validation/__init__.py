"""What is wrong in a program file, and what is odd."""
