"""Style transfer as a LightningModule, its objective, targets and start."""
