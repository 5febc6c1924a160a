"""Recommendations measured on people's ratings: half of what each liked is to find the other."""
