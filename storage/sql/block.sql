-- name: find_versions
select id, version, deleted from block where id in $ids::uuid[]

-- name: find_blocks
select id, value, body from block where id in $ids::uuid[] and not deleted

-- name: drop_blocks
delete from block where id in $ids::uuid[]
