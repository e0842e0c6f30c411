"""The network: the frozen extractor, and where its weights come from."""
