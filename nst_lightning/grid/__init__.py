"""What is to be made: pictures, pairs of them, batches of pairs."""
