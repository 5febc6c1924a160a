"""The JSON API and the web page, over search that knows nothing of Flask."""
