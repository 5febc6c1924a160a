"""What a video is, where videos come from, settings and errors. Imports nothing of ours."""
