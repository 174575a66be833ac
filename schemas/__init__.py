"""Messages at the edges: bytes become frozen values or plain fields here, once."""
