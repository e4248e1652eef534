"""Measures a real server, from outside: ``python -m benchmarks``."""
