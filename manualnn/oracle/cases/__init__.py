"""Making cases: drawing, resizing and simplifying them."""
