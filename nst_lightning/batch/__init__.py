"""The grid: folders → pairs → batches, what is done, and running what is left."""
