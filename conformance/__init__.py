"""Django's own test suite as judge of "never different": see docs/conformance.md."""
