"""What a video is, where videos come from, and errors. Imports nothing of ours."""
