"""The stream processors: one folder a service, one anatomy in all of them."""
