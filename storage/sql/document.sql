-- name: block_versions
select 'block-' || block.id, block_head.version, block.deleted
from block_head join block on block.lsn = block_head.lsn and block.id = block_head.id
where block_head.id in $ids::uuid[]

-- name: blocks
select block.value, block.body
from block_head join block on block.lsn = block_head.lsn and block.id = block_head.id
where block_head.id in $ids::uuid[] and not block.deleted

-- name: document_versions
select document.kind || '-' || document.id, document_head.version, document.deleted
from document_head join document on document.lsn = document_head.lsn and document.id = document_head.id
where document_head.id in $ids::uuid[]

-- name: documents
select document.kind, document.body
from document_head join document on document.lsn = document_head.lsn and document.id = document_head.id
where document_head.id in $ids::uuid[] and not document.deleted
