-- name: find_versions
select block_head.id, block_head.version, block.deleted
from block_head join block on block.lsn = block_head.lsn and block.id = block_head.id
where block_head.id in $ids::uuid[]

-- name: find_blocks
select block.id, block.value, block.body
from block_head join block on block.lsn = block_head.lsn and block.id = block_head.id
where block_head.id in $ids::uuid[] and not block.deleted
