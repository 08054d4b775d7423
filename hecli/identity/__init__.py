"""Who somebody is: cards, signatures, rosters, and secrets sealed to a card."""
