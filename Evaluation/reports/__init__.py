"""What a run says and writes: tables, text, page."""
