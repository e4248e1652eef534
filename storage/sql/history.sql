-- name: find_agents
-- What is derived of these agents so far.
select * from agent where id in $ids::uuid[]

-- name: drop_agents
delete from agent where id in $ids::uuid[]

-- name: drop_runs
delete from run where id in $ids::uuid[]

-- name: drop_steps
delete from step where id in $ids::uuid[]

-- name: find_messages
select * from message where id in $ids::uuid[]

-- name: drop_messages
delete from message where id in $ids::uuid[]

-- name: drop_blocks
-- The versions that new ones replace. The heads are changed after this.
delete from block using block_head
where block.lsn = block_head.lsn and block.id = block_head.id and block_head.id in $ids::uuid[]

-- name: drop_documents
delete from document using document_head
where document.lsn = document_head.lsn and document.id = document_head.id
    and document_head.id in $ids::uuid[]

-- name: drop_passages
delete from passage where id in $ids::uuid[]

-- name: drop_passages_of
-- A deleted archive takes its passages along.
delete from passage where archive_id in $ids::uuid[]

-- name: drop_messages_of
-- A deleted agent takes its history along.
delete from message where agent_id in $ids::uuid[]

-- name: drop_vectors_of
delete from message_vector where agent_id in $ids::uuid[]

-- name: drop_steps_of
delete from step where agent_id in $ids::uuid[]

-- name: drop_runs_of
delete from run where agent_id in $ids::uuid[]

-- name: set_derived
update progress set derived = $lsn
