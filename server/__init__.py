"""The coordinator: adds up what sites send; never imports torch."""
