"""Claims about the HTTP face, judged by the official OpenAI client."""
