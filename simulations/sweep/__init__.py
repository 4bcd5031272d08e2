"""Settings of a study tried one after another, judged by validation images alone."""
