"""The extension by itself: no Django, no database."""
