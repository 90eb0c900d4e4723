"""Images with human scores: rated sets as their authors publish them, and tables of one's own."""
