"""Effects on ledgers that earn and redeem share: what time makes happen, and what is announced of it."""
