"""Qdrant against FAISS: what the one costs over the other, measured in turns."""
