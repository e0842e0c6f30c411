"""The network: layer names, the frozen extractor, and where its weights come from."""
