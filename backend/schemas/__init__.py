"""Typed models of requests and answers, and how answers are put together."""
