"""redeem: points become rewards, in two phases; and what is due is swept: activation, expiry, time-outs."""
