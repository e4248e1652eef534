-- name: find_states
select id, seq, recent, body from state where id in $ids::uuid[]

-- name: find_heads
-- Where each agent's log stands, as far as it is folded.
select id, seq, body is null, recent from state where id in $ids::uuid[]

-- name: folded_seqs
select id, seq from state where id in $ids::uuid[]

-- name: drop_states
delete from state where id in $ids::uuid[]
