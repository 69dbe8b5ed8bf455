"""What OpenAI clients say, what Replicate understands, and every rule for going from one to the other."""
