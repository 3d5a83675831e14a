"""kvbench's own adapters, one file per kind of store, registered by entry point."""
