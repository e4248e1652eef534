-- name: derived_blocks
-- Block versions of the log that are in the other tables already, a part at a time.
select lsn, blocks from step_log
where lsn > $after and lsn <= (select derived from progress) and blocks is not null
order by lsn limit $limit

-- name: add_version
insert into block_version values (?, ?, ?)

-- name: versions
select record from block_version
where id = $id::uuid
    and ($above is null or version > $above)
    and ($below is null or version < $below)

-- name: version_up
order by version limit $limit

-- name: version_down
order by version desc limit $limit
