"""Find the one face in a photo and say whether its mask is worn properly."""
