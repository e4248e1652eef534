"""The store: records, and the engine that keeps them in one DuckDB file per shard."""
