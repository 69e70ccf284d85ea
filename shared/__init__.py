"""What two or more services use: contracts, program files, the ledger, the stream runtime, metrics."""
