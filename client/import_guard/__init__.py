"""The import guard: this environment loads only code that was installed in it."""
