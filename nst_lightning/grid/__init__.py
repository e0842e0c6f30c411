"""What is to be made: images, pairs of them, batches of pairs."""
