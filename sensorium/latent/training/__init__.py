"""Training of bridges, with torch and transformers: imported in a process of its own alone."""
