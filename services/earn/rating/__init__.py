"""What an order is worth under a program: pure, and the same for ever."""
