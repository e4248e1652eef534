-- name: has_schema
-- Whether the file has ever been migrated.
select count(*) > 0 from information_schema.tables where table_schema = 'main' and table_name = 'meta'

-- name: find_meta
select value from meta where name = $name

-- name: drop_meta
delete from meta where name = $name

-- name: add_meta
insert into meta values ($name, $value)

-- name: count_rows
-- Estimated sizes of all tables, without reading them.
select table_name, estimated_size from duckdb_tables() where schema_name = 'main'

-- name: checkpoint
-- Moves the write-ahead log into the database file; refused while readers still see deleted rows.
checkpoint

-- name: force_checkpoint
-- The same, waiting for those readers.
force checkpoint

-- name: no_checkpoint_on_close
-- After an error, closing must not touch the files any more. Otherwise the shard itself has done it.
pragma disable_checkpoint_on_shutdown
