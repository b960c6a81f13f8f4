"""Text as it travels: alphabets, data coding, long messages and addresses; pure."""
