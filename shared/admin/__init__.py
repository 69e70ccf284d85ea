"""What operators change: program versions, the clock, dead letters."""
