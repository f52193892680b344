"""Techniques: pure functions, plain data in, plain data out. No web, no session, no clock, no environment."""
