"""The two players: processes that share nothing but the channel, and their walls."""
