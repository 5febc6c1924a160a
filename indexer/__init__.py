"""The job: read, encode, upsert to Qdrant, mirror to FAISS, publish."""
