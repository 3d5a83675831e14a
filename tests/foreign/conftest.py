"""Code of third parties: pytest runs it only from its own folders."""

collect_ignore = ["third_party"]
