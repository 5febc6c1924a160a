"""Thumbnail encoders set against each other: is a damaged picture found, are neighbours alike?"""
