"""What is here is other people's: pytest runs it only from their own folders."""

collect_ignore = ["third_party"]
