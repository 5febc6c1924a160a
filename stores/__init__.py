"""Where vectors live: Qdrant (embedded and server), and the FAISS flat mirror."""
