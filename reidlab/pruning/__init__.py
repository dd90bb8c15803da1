"""Chapter 5: filters are removed from any network of the book, layer by layer, under a budget of performance."""
