"""What the parties of a federation agreed on."""
