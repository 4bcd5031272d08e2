"""A study's papers for a data-protection officer."""
