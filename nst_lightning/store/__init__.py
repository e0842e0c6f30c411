"""What has been made: records, the ledger, fingerprints and the output folder."""
