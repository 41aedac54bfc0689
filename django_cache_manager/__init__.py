"""Caches the results of Django's ORM queries in memory shared by all processes, and never serves a
stale one."""

__version__ = "1.0.0"
