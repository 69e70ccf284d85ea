"""The program files that come with the product; they travel with it as package data."""
